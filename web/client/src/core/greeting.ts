import type { Hello } from "../generated/protocol.js";
import type { InputFrame } from "./frames.js";
import type { InputDelivery } from "./input-delivery.js";
import type { Link, Links } from "./link.js";
import type { ClientSettings } from "./settings.js";
import type { ShownOutput } from "./shown-output.js";

const SESSION = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/;
const CLIENT_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** The fields that every hello has. */
export interface HelloContent {
  readonly session: string;
  readonly clientId: string;
  readonly modality?: "voice" | "text";
  readonly approvals?: boolean;
  readonly history?: boolean;
}

/** Timer of hellos: one at once, then repeats with growing pauses, and never two too close together. */
export class HelloTimer {
  private saidAt = -Infinity;
  private dueAt = 0;
  private interval: number;

  constructor(private readonly settings: ClientSettings) {
    this.interval = settings.helloInterval;
  }

  /** Make the first of several hellos due at a time. */
  restart(at: number): void {
    this.dueAt = Math.max(at, this.saidAt + this.settings.shortestHelloInterval);
    this.interval = this.settings.helloInterval;
  }

  /** Forget the last hello, which went over another connection. */
  reset(): void {
    this.saidAt = -Infinity;
  }

  /** Take the longest pause: no worker has room for the session. */
  slowDown(now: number): void {
    this.interval = this.settings.longestHelloInterval;
    this.dueAt = now + this.interval;
  }

  /** Note that a hello was sent: the next one comes after a growing pause. */
  said(now: number): void {
    this.saidAt = now;
    this.dueAt = now + this.interval;
    this.interval = Math.min(this.interval * 1.5, this.settings.longestHelloInterval);
  }

  /** Milliseconds until the next hello is due; 0 or less if it is. */
  wait(now: number): number {
    return this.dueAt - now;
  }
}

/** Hellos of a client over its newest connection, until a holder listens and no output is missing. */
export class Greeting {
  private readonly hello: Hello;
  private readonly timer: HelloTimer;

  constructor(
    content: HelloContent,
    settings: ClientSettings,
    private readonly links: Links,
    private readonly input: InputDelivery,
    private readonly output: ShownOutput,
  ) {
    if (!SESSION.test(content.session)) {
      throw new RangeError("a session id has 1 to 128 of the characters A-Z a-z 0-9 . _ - and is neither . nor ..");
    }
    if (!CLIENT_ID.test(content.clientId)) {
      throw new RangeError("a client id has 1 to 64 of the characters A-Z a-z 0-9 . _ -");
    }
    this.hello = {
      type: "hello",
      session: content.session,
      client_id: content.clientId,
      connection: 1,
      ...(content.modality === "text" && { modality: "text" }),
      ...(content.approvals && { approvals: true }),
      ...(content.history && { history: true }),
      binary: true,
    };
    this.timer = new HelloTimer(settings);
    output.onGap = (now) => {
      this.expect(now);
    };
  }

  /** True if hello is to be repeated: no holder listens, or output may be missing. */
  get needed(): boolean {
    return !this.input.greeted || !this.output.complete || this.links.renewal !== undefined;
  }

  /** Tell whether hello is repeated over a connection. */
  needs(link: Link): boolean {
    return this.needed && link === this.links.newest;
  }

  /** Return the hello to send over a connection now, if one is due; it counts as sent. */
  due(now: number, link: Link): Hello[] {
    if (this.wait(now, link) > 0) return [];
    this.timer.said(now);
    return [{ ...this.hello, connection: link.number, ...this.shown() }];
  }

  /** Milliseconds until a hello is due over a connection; Infinity while none is needed over it. */
  wait(now: number, link: Link): number {
    return this.needs(link) ? this.timer.wait(now) : Infinity;
  }

  /** Say hello over a new connection at once. */
  connected(now: number): void {
    this.timer.reset();
    this.timer.restart(now);
  }

  /** Stop input until a holder says `ready`; hello asks for that from `helloAt` on. */
  loseHolder(helloAt: number): void {
    this.expect(helloAt);
    this.input.stop();
  }

  /** Stop journal content until missing records have come again. */
  missOutput(now: number): void {
    this.expect(now);
    this.output.gap();
  }

  /** Take the longest pause: no worker has room for the session. */
  slowDown(now: number): void {
    this.timer.slowDown(now);
  }

  /** Add the record position to an input whose turn may have a holder of its own. */
  placed(frame: InputFrame): InputFrame {
    const carriesPosition = frame.type === "answer" || (frame.type === "text" && this.hello.modality === "text");
    return carriesPosition ? { ...frame, ...this.shown() } : frame;
  }

  /** Make a hello due at a time, unless hellos are repeated already. */
  private expect(at: number): void {
    if (!this.needed) this.timer.restart(at);
  }

  private shown(): { last_record?: number } {
    const last = this.output.lastRecord;
    return last === undefined ? {} : { last_record: last };
  }
}
