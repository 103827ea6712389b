// A clock that only a test moves, and a server that a test controls.
import type { Change, ConnectOptions, Environment, ServerFrame, SocketLike } from "../src/index.js";
import { connect, Conversation } from "../src/index.js";

type Timer = { at: number; call: () => void };

/** Time, network and chance under a test's control. */
export class World implements Environment {
  time = 1_000_000;
  /** Milliseconds by which the wall clock is ahead of `time`. */
  slept = 0;
  connected = true;
  readonly sockets: FakeSocket[] = [];
  private readonly timers = new Set<Timer>();
  private readonly watchers = new Set<(change: Change) => void>();

  now = (): number => this.time;
  wall = (): number => this.time + this.slept;
  random = (): number => 1;
  online = (): boolean => this.connected;

  later(milliseconds: number, call: () => void): () => void {
    const timer = { at: this.time + Math.max(0, milliseconds), call };
    this.timers.add(timer);
    return () => {
      this.timers.delete(timer);
    };
  }

  watch(listener: (change: Change) => void): () => void {
    this.watchers.add(listener);
    return () => {
      this.watchers.delete(listener);
    };
  }

  /** Timers that wait. */
  get waiting(): number {
    return this.timers.size;
  }

  change(change: Change): void {
    if (change !== "shown") this.connected = change === "online";
    for (const watcher of [...this.watchers]) watcher(change);
  }

  /** Advance the time by milliseconds; run each timer when it is due. */
  async advance(milliseconds: number): Promise<void> {
    const until = this.time + milliseconds;
    await settle();
    for (;;) {
      const due = [...this.timers].filter((timer) => timer.at <= until).sort((one, other) => one.at - other.at)[0];
      if (!due) break;
      this.timers.delete(due);
      this.time = Math.max(this.time, due.at);
      due.call();
      await settle();
    }
    this.time = until;
  }

  /** Put the computer to sleep: timers run only after it, all that are due. */
  async sleep(milliseconds: number, { monotonic = true } = {}): Promise<void> {
    if (monotonic) this.time += milliseconds;
    else this.slept += milliseconds;
    await this.advance(20_000);
  }

  /** The newest socket. */
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error("the client has opened no socket");
    return socket;
  }

  /** Return a class of sockets that open at once, or as `admit` decides. */
  constructorOf(admit: (socket: FakeSocket) => void = (socket) => socket.open()): new (url: string, protocols?: string[]) => SocketLike {
    const { sockets } = this;
    return class extends FakeSocket {
      constructor(url: string, protocols?: string[]) {
        super(url, protocols);
        sockets.push(this);
        queueMicrotask(() => {
          admit(this);
        });
      }
    };
  }

  /** Open a conversation in this world; return it with the events that it shows. */
  async connect(options: Partial<ConnectOptions> = {}): Promise<{ conversation: Conversation; events: ServerFrame[] }> {
    const conversation = connect({
      url: "ws://test",
      session: "s",
      clientId: "c",
      WebSocket: this.constructorOf(),
      environment: this,
      ...options,
    });
    const events: ServerFrame[] = [];
    conversation.on("frame", (frame) => {
      events.push(frame);
    });
    await settle();
    return { conversation, events };
  }
}

/** The client's end of a connection; the test is the server. */
export class FakeSocket implements SocketLike {
  bufferedAmount = 0;
  readyState = 0;
  binaryType = "blob";
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onerror: SocketLike["onerror"] = null;
  onclose: SocketLike["onclose"] = null;
  readonly sent: any[] = [];
  closed = false;

  constructor(
    readonly url: string,
    readonly protocols: string[] = [],
  ) {}

  open(): void {
    this.readyState = 1;
    this.onopen?.({});
  }

  send(data: string | Uint8Array): void {
    if (this.readyState !== 1) throw new Error("the socket is not open");
    this.sent.push(typeof data === "string" ? JSON.parse(data) : readBinary(data));
  }

  close(): void {
    this.closed = true;
    if (this.readyState === 3) return;
    this.readyState = 3;
    queueMicrotask(() => this.onclose?.({ code: 1000 }));
  }

  /** Break without a close frame. */
  breakOff(message = "broken"): void {
    this.readyState = 3;
    this.onerror?.({ message });
    this.onclose?.({ code: 1006 });
  }

  /** Close by the server, with a code. */
  async closeByServer(code: number): Promise<void> {
    this.readyState = 3;
    this.onclose?.({ code });
    await settle();
  }

  /** Deliver frames of the server, one message each. */
  async deliver(...frames: object[]): Promise<void> {
    for (const frame of frames) {
      const ready = typeof frame === "string" || frame instanceof ArrayBuffer;
      this.onmessage?.({ data: ready ? frame : JSON.stringify(frame) });
    }
    await settle();
  }

  /** Return the client's frames of a type. */
  of(type: string): any[] {
    return this.sent.filter((frame) => frame.type === type);
  }
}

/** Return a binary message: length of the header, header, samples. */
export function binary(header: object, samples: readonly number[]): ArrayBuffer {
  const text = new TextEncoder().encode(JSON.stringify(header));
  return new Uint8Array([text.length >> 8, text.length & 255, ...text, ...samples]).buffer;
}

function readBinary(message: Uint8Array): object {
  const end = 2 + (message[0] as number) * 256 + (message[1] as number);
  return { ...JSON.parse(new TextDecoder().decode(message.subarray(2, end))), samples: [...message.subarray(end)] };
}

/** Run all pending microtasks. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

export const ready = (epoch: number, seq = 1, more: object = {}): object => ({
  type: "ready",
  epoch,
  seq,
  session: "s",
  known: { upto: 0, beyond: [] },
  history: 0,
  head: 0,
  ...more,
});

export const transcript = (epoch: number, seq: number, record: number, text = `said ${record}`): object => ({
  type: "transcript",
  epoch,
  seq,
  role: "assistant",
  text,
  final: true,
  record,
});
