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
 * The state of the connection: `connecting` until the first `ready`; `moving` from one holder to the next;
 * `reconnecting` after a connection broke, `offline` while there is no network; `closed` or `failed` at the end.
 */
export type State = "connecting" | "ready" | "moving" | "reconnecting" | "offline" | "closed" | "failed";

/** The events of a conversation and what each brings. */
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
  /** A page of the conversation so far (`more` is there), or lines that were typed just now. */
  history: HistoryOutput;
  error: ErrorFrame;
  /** Inputs have become durable; `conversation.unacknowledged` has gone down. */
  acknowledged: InputAck;
  /** Every frame that is shown, before the event of its own. */
  frame: ServerFrame;
  state: { readonly state: State; readonly previous: State };
  /** Nothing more comes: `error` says what ended it, if not `close()`. */
  end: { readonly error: ClientError | undefined };
}

export type EventName = keyof ConversationEvents;
export type Listener<Name extends EventName> = (event: ConversationEvents[Name]) => void;

const EVENT_NAMES: Readonly<Record<string, EventName>> = { barge_in: "bargeIn", ack: "acknowledged" };

/** Calls listeners, one after the other. One that throws is reported and stops no other. */
export class Emitter {
  private readonly listeners = new Map<EventName, Set<Listener<never>>>();

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

  /** Show a frame: as `frame`, then under its own name. */
  emitFrame(frame: ServerFrame): void {
    this.emit("frame", frame);
    this.emit(EVENT_NAMES[frame.type] ?? (frame.type as EventName), frame as never);
  }
}

/** A queue that never makes the connection wait: when it is full, the oldest of what may be lost goes. */
export class EventBuffer implements AsyncIterableIterator<ServerFrame> {
  /** The number of events that have gone. */
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

  /** Add an event. Throws `EventsNotRead` if so much is waiting that must not be lost. */
  put(event: ServerFrame): void {
    this.waiting.push(event);
    this.account(event, 1);
    while ((this.waiting.length > this.capacity || this.bytes > this.capacityBytes) && this.losableCount) this.dropOldest();
    if (this.waiting.length > this.lastingCapacity || this.bytes > this.capacityBytes) {
      throw new EventsNotRead("too many events wait unread: iterate over events()");
    }
    this.wake();
  }

  /** Nothing more comes. `failure` is thrown after the last event. */
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
