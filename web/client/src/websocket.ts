import type { Core } from "./core/core.js";
import { encodeFrame } from "./core/frames.js";
import type { ClientSettings } from "./core/settings.js";
import type { Environment, SocketLike } from "./environment.js";
import type { ServerFrame } from "./generated/protocol.js";

/** Bytes that the socket may keep for a slow network before no more is handed to it. */
const MOST_BUFFERED = 128 * 1024;
/** A socket has no event for room that it has again: it is looked at so often, in milliseconds. */
const ROOM_INTERVAL = 50;

export interface Ear {
  /** Frames to show, in order. */
  shown(events: ServerFrame[]): void;
  /** Something has changed that a caller, or another connection, may wait for. */
  progressed(): void;
}

/** One WebSocket of a conversation, from its opening to its end. */
export class Talk {
  /** The reason why the connection ended, as far as the socket tells. */
  error: string | undefined;
  /** WebSocket close code of the end, as far as the socket tells. */
  closeCode: number | undefined;
  /** Resolves when the next connection is to be opened beside this one. */
  readonly old: Promise<void>;
  /** Resolves when nothing more comes of it. */
  readonly over: Promise<void>;
  private readonly number: number;
  private done = false;
  private closing = false;
  private replaced = false;
  private ending = false;
  private woken = false;
  private cancelTimer = (): void => undefined;
  private finish = (): void => undefined;
  private grewOld = (): void => undefined;

  /** Join the conversation. `socket` has just opened. */
  constructor(
    private readonly socket: SocketLike,
    private readonly core: Core,
    private readonly settings: ClientSettings,
    private readonly environment: Environment,
    private readonly ear: Ear,
  ) {
    this.over = new Promise((resolve) => {
      this.finish = resolve;
    });
    this.old = new Promise((resolve) => {
      this.grewOld = resolve;
    });
    this.number = core.connected(environment.now());
    socket.onmessage = ({ data }) => {
      if (!this.done) this.hear(data);
    };
    socket.onclose = ({ code, reason }) => {
      this.closeCode ??= code;
      this.end(`closed with code ${code ?? "?"}${reason ? ` (${String(reason)})` : ""}`);
    };
    socket.onerror = () => undefined; // a close follows
    this.pump(); // hello is the first word, whatever comes
  }

  /** There may be something to send. */
  wake(): void {
    if (this.woken || this.done) return;
    this.woken = true;
    queueMicrotask(() => {
      this.woken = false;
      this.pump();
    });
  }

  /** Say what is due, then good-bye. */
  leave(): void {
    this.ending = true;
    this.wake();
  }

  private hear(data: unknown): void {
    this.ear.shown(this.core.received(data, this.environment.now(), this.number));
    this.ear.progressed();
  }

  private pump(): void {
    this.cancelTimer();
    if (this.done) return;
    const now = this.environment.now();
    const late = this.core.tick(now);
    if (late.length) {
      this.ear.shown(late);
      this.ear.progressed();
    }
    const link = this.core.link(this.number);
    if (link?.lost || this.core.failure) {
      this.hangUp();
      this.end("given up");
    } else if (!link) {
      this.overlap();
    } else {
      this.speak(now);
    }
  }

  private speak(now: number): void {
    if (this.closing) return;
    if (this.core.wantsRenewal(now, this.number)) this.grewOld();
    if (this.socket.bufferedAmount > MOST_BUFFERED && !this.ending) {
      this.sleep(Math.min(ROOM_INTERVAL, this.core.wakeup(now, this.number) || ROOM_INTERVAL));
      return;
    }
    try {
      for (const frame of this.core.outgoing(now, this.number)) this.socket.send(this.core.message(frame, this.number));
      if (this.ending) this.socket.send(encodeFrame({ type: "bye" }));
    } catch (error) {
      this.end(String(error));
      return;
    }
    if (!this.ending) {
      this.sleep(this.core.wakeup(now, this.number));
      return;
    }
    this.hangUp();
    this.sleep(this.settings.closeTimeout, () => {
      this.end("closed");
    });
  }

  /** Replaced by a newer connection: hear what is still on its way over this one, then close it. */
  private overlap(): void {
    if (this.ending) this.hangUp();
    if (this.replaced) return;
    this.replaced = true;
    this.environment.later(this.settings.overlap, () => {
      this.hangUp();
      this.end("replaced");
    });
  }

  private sleep(milliseconds: number, then = (): void => this.pump()): void {
    this.cancelTimer();
    this.cancelTimer = milliseconds === Infinity ? () => undefined : this.environment.later(milliseconds, then);
  }

  private hangUp(): void {
    if (this.closing) return;
    this.closing = true;
    try {
      this.socket.close(1000);
    } catch {
      // It is closed already.
    }
  }

  /** A dead peer is not waited for: nothing of this socket is heard any more. */
  private end(why: string): void {
    if (this.done) return;
    this.done = true;
    this.error = why;
    this.cancelTimer();
    this.hangUp();
    this.core.disconnected(this.number);
    this.finish();
    this.ear.progressed();
  }
}
