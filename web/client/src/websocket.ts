import type { Core } from "./core/core.js";
import { encodeFrame } from "./core/frames.js";
import type { ClientSettings } from "./core/settings.js";
import type { Environment, SocketLike } from "./environment.js";
import type { ServerFrame } from "./generated/protocol.js";

/** Bytes that the socket may keep for a slow network before no more is handed to it. */
const MAX_BUFFERED_BYTES = 128 * 1024;
/** A socket has no event for room that it has again: it is looked at so often, in milliseconds. */
const BUFFER_POLL_MS = 50;

export interface SocketListener {
  /** Frames to show, in order. */
  onEvents(events: ServerFrame[]): void;
  /** Something has changed that a caller, or another connection, may wait for. */
  onProgress(): void;
}

/** One WebSocket of a conversation, from its opening to its end. */
export class ClientWebSocket {
  /** The reason why the connection ended, as far as the socket tells. */
  error: string | undefined;
  /** WebSocket close code of the end, as far as the socket tells. */
  closeCode: number | undefined;
  /** Resolves when the next connection is to be opened beside this one. */
  readonly renewalDue: Promise<void>;
  /** Resolves when nothing more comes of it. */
  readonly ended: Promise<void>;
  private readonly number: number;
  private done = false;
  private socketClosing = false;
  private replaced = false;
  private sayingGoodbye = false;
  private wakeQueued = false;
  private cancelTimer = (): void => undefined;
  private resolveEnded = (): void => undefined;
  private resolveRenewalDue = (): void => undefined;

  /** Join the conversation. `socket` has just opened. */
  constructor(
    private readonly socket: SocketLike,
    private readonly core: Core,
    private readonly settings: ClientSettings,
    private readonly environment: Environment,
    private readonly listener: SocketListener,
  ) {
    this.ended = new Promise((resolve) => {
      this.resolveEnded = resolve;
    });
    this.renewalDue = new Promise((resolve) => {
      this.resolveRenewalDue = resolve;
    });
    this.number = core.connected(environment.now());
    socket.onmessage = ({ data }) => {
      if (!this.done) this.receive(data);
    };
    socket.onclose = ({ code, reason }) => {
      this.closeCode ??= code;
      this.end(`closed with code ${code ?? "?"}${reason ? ` (${String(reason)})` : ""}`);
    };
    socket.onerror = () => undefined; // a close follows
    this.update(); // hello is the first word, whatever comes
  }

  /** There may be something to send. */
  wake(): void {
    if (this.wakeQueued || this.done) return;
    this.wakeQueued = true;
    queueMicrotask(() => {
      this.wakeQueued = false;
      this.update();
    });
  }

  /** Say what is due, then good-bye. */
  sayGoodbye(): void {
    this.sayingGoodbye = true;
    this.wake();
  }

  private receive(data: unknown): void {
    this.listener.onEvents(this.core.received(data, this.environment.now(), this.number));
    this.listener.onProgress();
  }

  private update(): void {
    this.cancelTimer();
    if (this.done) return;
    const now = this.environment.now();
    const released = this.core.tick(now);
    if (released.length) {
      this.listener.onEvents(released);
      this.listener.onProgress();
    }
    const link = this.core.link(this.number);
    if (link?.lost || this.core.failure) {
      this.closeSocket();
      this.end("given up");
    } else if (!link) {
      this.closeAfterOverlap();
    } else {
      this.send(now);
    }
  }

  private send(now: number): void {
    if (this.socketClosing) return;
    if (this.core.wantsRenewal(now, this.number)) this.resolveRenewalDue();
    if (this.socket.bufferedAmount > MAX_BUFFERED_BYTES && !this.sayingGoodbye) {
      this.sleep(Math.min(BUFFER_POLL_MS, this.core.wakeup(now, this.number) || BUFFER_POLL_MS));
      return;
    }
    try {
      for (const frame of this.core.outgoing(now, this.number)) this.socket.send(this.core.message(frame, this.number));
      if (this.sayingGoodbye) this.socket.send(encodeFrame({ type: "bye" }));
    } catch (error) {
      this.end(String(error));
      return;
    }
    if (!this.sayingGoodbye) {
      this.sleep(this.core.wakeup(now, this.number));
      return;
    }
    this.closeSocket();
    this.sleep(this.settings.closeTimeout, () => {
      this.end("closed");
    });
  }

  /** Replaced by a newer connection: hear what is still on its way over this one, then close it. */
  private closeAfterOverlap(): void {
    if (this.sayingGoodbye) this.closeSocket();
    if (this.replaced) return;
    this.replaced = true;
    this.environment.later(this.settings.overlap, () => {
      this.closeSocket();
      this.end("replaced");
    });
  }

  private sleep(milliseconds: number, then = (): void => this.update()): void {
    this.cancelTimer();
    this.cancelTimer = milliseconds === Infinity ? () => undefined : this.environment.later(milliseconds, then);
  }

  private closeSocket(): void {
    if (this.socketClosing) return;
    this.socketClosing = true;
    try {
      this.socket.close(1000);
    } catch {
      // It is closed already.
    }
  }

  /** A dead peer is not waited for: nothing of this socket is heard any more. */
  private end(reason: string): void {
    if (this.done) return;
    this.done = true;
    this.error = reason;
    this.cancelTimer();
    this.closeSocket();
    this.core.disconnected(this.number);
    this.resolveEnded();
    this.listener.onProgress();
  }
}
