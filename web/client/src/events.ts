import type { ClientError } from "./errors.js";
import { EventsNotRead } from "./errors.js";
import type {
  Approval,
  AudioOutput,
  BargeIn,
  ErrorFrame,
  HistoryOutput,
  InputAck,
  Moved,
  Pause,
  Ready,
  Restart,
  ServerFrame,
  TextOutput,
  Tool,
  Transcript,
} from "./generated/protocol.js";
import { keptBytes } from "./core/frames.js";

/**
 * State of the connection: `connecting` until the first `ready`; `moving` between two holders; `reconnecting` after a
 * connection broke; `offline` without a network; `closed` or `failed` at the end.
 */
export type State = "connecting" | "ready" | "moving" | "reconnecting" | "offline" | "closed" | "failed";

/** Events of a conversation, with their values. */
export interface ConversationEvents {
  ready: Ready;
  transcript: Transcript;
  text: TextOutput;
  audio: AudioOutput;
  tool: Tool;
  approval: Approval;
  bargeIn: BargeIn;
  restart: Restart;
  moved: Moved;
  pause: Pause;
  /** A page of the conversation so far (with `more`), or lines that another client has just typed. */
  history: HistoryOutput;
  error: ErrorFrame;
  /** Inputs have become durable: `conversation.unacknowledged` is smaller. */
  acknowledged: InputAck;
  /** Every shown frame, before the event of its own type. */
  frame: ServerFrame;
  state: { readonly state: State; readonly previous: State };
  /** The last event: `error` is undefined after `close()`. */
  end: { readonly error: ClientError | undefined };
}

/** The name of an event. */
export type EventName = keyof ConversationEvents;
/** A listener of an event. */
export type Listener<Name extends EventName> = (event: ConversationEvents[Name]) => void;

const EVENT_NAMES: Readonly<Record<string, EventName>> = { barge_in: "bargeIn", ack: "acknowledged" };

/** Listeners of events, called in turn. An error in one is reported, and stops no other. */
export class Emitter {
  private readonly listeners = new Map<EventName, Set<Listener<never>>>();

  /** Add a listener. Returns a function that removes it. */
  on<Name extends EventName>(name: Name, listener: Listener<Name>, options: { signal?: AbortSignal } = {}): () => void {
    const own: Listener<Name> = (event) => {
      listener(event);
    };
    const off = (): void => {
      this.listeners.get(name)?.delete(own);
    };
    if (options.signal?.aborted) return off;
    this.listeners.set(name, (this.listeners.get(name) ?? new Set()).add(own));
    options.signal?.addEventListener("abort", off, { once: true });
    return off;
  }

  /** Call the listeners of an event. */
  emit<Name extends EventName>(name: Name, event: ConversationEvents[Name]): void {
    for (const listener of [...(this.listeners.get(name) ?? [])]) {
      try {
        (listener as Listener<Name>)(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** Emit a frame as `frame`, then as an event of its own type. */
  emitFrame(frame: ServerFrame): void {
    this.emit("frame", frame);
    this.emit(EVENT_NAMES[frame.type] ?? (frame.type as EventName), frame as never);
  }
}

/**
 * Queue of unread events that never makes the connection wait: when full, it drops the oldest audio and partial
 * transcripts.
 */
export class EventBuffer implements AsyncIterableIterator<ServerFrame> {
  /** Events dropped so far. */
  dropped = 0;
  private waiting: ServerFrame[] = [];
  private bytes = 0;
  private losableCount = 0;
  private ended = false;
  private failure: ClientError | undefined;
  private wake = (): void => undefined;

  constructor(
    private readonly capacity: number,
    private readonly lastingCapacity: number,
    private readonly capacityBytes: number,
  ) {}

  /** Add an event. Throws `EventsNotRead` if too many wait that must not be dropped. */
  put(event: ServerFrame): void {
    this.waiting.push(event);
    this.account(event, 1);
    while ((this.waiting.length > this.capacity || this.bytes > this.capacityBytes) && this.losableCount) this.dropOldest();
    if (this.waiting.length > this.lastingCapacity || this.bytes > this.capacityBytes) {
      throw new EventsNotRead("too many events wait unread: iterate over events()");
    }
    this.wake();
  }

  /** End the stream; `failure` is thrown after the last event. */
  end(failure: ClientError | undefined): void {
    if (!this.ended) this.failure = failure;
    this.ended = true;
    this.wake();
  }

  async next(): Promise<IteratorResult<ServerFrame, undefined>> {
    while (!this.waiting.length) {
      if (this.failure) throw this.failure;
      if (this.ended) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    const event = this.waiting.shift() as ServerFrame;
    this.account(event, -1);
    return { done: false, value: event };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  private dropOldest(): void {
    const index = this.waiting.findIndex(isLosable);
    this.account(this.waiting[index] as ServerFrame, -1);
    this.waiting.splice(index, 1);
    this.dropped += 1;
  }

  private account(event: ServerFrame, sign: number): void {
    this.bytes += sign * keptBytes(event);
    if (isLosable(event)) this.losableCount += sign;
  }
}

function isLosable(event: ServerFrame): boolean {
  return event.type === "audio" || event.type === "ack" || (event.type === "transcript" && !event.final);
}
