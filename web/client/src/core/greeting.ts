import type { Hello } from "../generated/protocol.js";
import type { InputFrame } from "./frames.js";
import type { InputDelivery } from "./input-delivery.js";
import type { Link, Links } from "./link.js";
import type { ClientSettings } from "./settings.js";
import type { ShownOutput } from "./shown-output.js";

const SESSION = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/;
const CLIENT_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** The content of every hello. */
export interface HelloContent {
  readonly session: string;
  readonly clientId: string;
  readonly modality?: "voice" | "text";
  readonly approvals?: boolean;
  readonly history?: boolean;
}

/** Paces hellos: at once, then repeated until one is answered, and never too soon after the last one. */
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

  /** A new connection: the last hello went over another. */
  reset(): void {
    this.saidAt = -Infinity;
  }

  /** Take the longest pause: no worker has room for the session. */
  slowDown(now: number): void {
    this.interval = this.settings.longestHelloInterval;
    this.dueAt = now + this.interval;
  }

  /** One was said: the next comes after a growing pause. */
  said(now: number): void {
    this.saidAt = now;
    this.dueAt = now + this.interval;
    this.interval = Math.min(this.interval * 1.5, this.settings.longestHelloInterval);
  }

  /** Milliseconds until the next one is due; not positive if it is. */
  wait(now: number): number {
    return this.dueAt - now;
  }
}

/** Says hello for a client over its newest connection, until a holder listens and nothing is missing of what is shown. */
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

  /** True if hello is to be repeated: no holder listens, or the shown output may be incomplete. */
  get needed(): boolean {
    return !this.input.greeted || !this.output.complete || this.links.renewal !== undefined;
  }

  /** Tell whether hello is repeated over a connection. */
  needs(link: Link): boolean {
    return this.needed && link === this.links.newest;
  }

  /** The hello to send over a connection now, if one is due; it counts as said. */
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

  /** Send no more input until a holder says `ready`, which hello asks for from a time on. */
  loseHolder(helloAt: number): void {
    this.expect(helloAt);
    this.input.stop();
  }

  /** Show no more content of the journal until what may be missing was said again. */
  missOutput(now: number): void {
    this.expect(now);
    this.output.gap();
  }

  /** Take the longest pause: no worker has room for the session. */
  slowDown(now: number): void {
    this.timer.slowDown(now);
  }

  /** Say with an input what was shown before it, where each turn may have a holder of its own. */
  placed(frame: InputFrame): InputFrame {
    const carriesPosition = frame.type === "answer" || (frame.type === "text" && this.hello.modality === "text");
    return carriesPosition ? { ...frame, ...this.shown() } : frame;
  }

  /** Say hello at a time, unless hellos are being said already. */
  private expect(at: number): void {
    if (!this.needed) this.timer.restart(at);
  }

  private shown(): { last_record?: number } {
    const last = this.output.lastRecord;
    return last === undefined ? {} : { last_record: last };
  }
}
