import type { Core } from "./core/core.js";
import { encodeFrame } from "./core/frames.js";
import type { ClientSettings } from "./core/settings.js";
import type { Environment, SocketLike } from "./environment.js";
import type { ServerFrame } from "./generated/protocol.js";

/** Bytes that the socket may buffer for a slow network; beyond it nothing more is passed to it. */
const MAX_BUFFERED_BYTES = 128 * 1024;
/** Milliseconds between two looks at a full buffer: sockets have no event for free room. */
const BUFFER_POLL_MS = 50;

export interface SocketListener {
  /** Take frames to show, in order. */
  onEvents(events: ServerFrame[]): void;
  /** Note a change for which a caller or another connection may wait. */
  onProgress(): void;
}

/** One WebSocket of a conversation, from its opening to its end. */
export class ClientWebSocket {
  /** The reason of the connection's end, as far as the socket tells. */
  error: string | undefined;
  /** WebSocket close code of the end, as far as the socket tells. */
  closeCode: number | undefined;
  /** Resolves when the renewal is to be opened beside this connection. */
  readonly renewalDue: Promise<void>;
  /** Resolves when the connection has ended. */
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

  /** Join the conversation with a socket that has just opened. */
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
    this.update(); // hello is the first frame
  }

  /** Send what may be due, after the present call. */
  wake(): void {
    if (this.wakeQueued || this.done) return;
    this.wakeQueued = true;
    queueMicrotask(() => {
      this.wakeQueued = false;
      this.update();
    });
  }

  /** Send what is due, then good-bye. */
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

  /** Close this replaced connection after `overlap` milliseconds, in which frames in flight still arrive. */
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

  /** End at once: a dead peer is not waited for, and its later frames are ignored. */
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
