import { bytesOf, toBase64 } from "./base64.js";
import { Connections } from "./connections.js";
import { Core } from "./core/core.js";
import type { InputFrame, MediaType } from "./core/frames.js";
import { imageFrames, answerFrame } from "./core/inputs.js";
import type { ClientSettings } from "./core/settings.js";
import { DEFAULTS } from "./core/settings.js";
import type { PlayedAudio } from "./core/shown-output.js";
import { MARKER, SilenceGate } from "./core/silence.js";
import type { Environment } from "./environment.js";
import { platformEnvironment } from "./environment.js";
import { ClientClosed, ClientError, ConnectionLost, FrameError, NotReady, TimedOut } from "./errors.js";
import type { EventName, Listener, State } from "./events.js";
import { Emitter, EventBuffer } from "./events.js";
import type { Approval, AudioInput, HistoryOutput, Ready, ServerFrame } from "./generated/protocol.js";
import type { ConnectOptions, HistoryOptions } from "./options.js";
import { Waiters } from "./waiters.js";

/**
 * Open a conversation, and keep it connected until `close()`.
 *
 * Input takes effect exactly once and in order, and journal content is shown exactly once and in order: across lost
 * connections, redeploys and crashes of workers. Register listeners before the next `await`.
 *
 * Throws `RangeError` if `session` or `clientId` has a wrong form.
 */
export function connect(options: ConnectOptions): Conversation {
  return new Conversation(options);
}

/** One client of a session; made by `connect`. */
export class Conversation {
  readonly session: string;
  readonly clientId: string;
  private readonly options: ConnectOptions;
  private readonly settings: ClientSettings;
  private readonly environment: Environment;
  private readonly core: Core;
  private readonly connections: Connections;
  private readonly emitter = new Emitter();
  private readonly silenceGate = new SilenceGate();
  private readonly ended: Promise<void>;
  private readonly waiters: Waiters;
  private buffer: EventBuffer | undefined;
  private closing = false;
  private over = false;
  private error: ClientError | undefined;
  private emittedState: State = "connecting";

  /** Open a conversation; see `connect`. */
  constructor(options: ConnectOptions) {
    this.options = options;
    this.settings = { ...DEFAULTS, ...options.settings };
    this.environment = options.environment ?? platformEnvironment;
    this.session = options.session;
    this.clientId = options.clientId ?? randomId();
    this.core = new Core(
      {
        session: this.session,
        clientId: this.clientId,
        modality: options.modality ?? "voice",
        approvals: options.approvals ?? false,
        history: options.history ?? false,
      },
      this.settings,
      typeof options.token === "function",
    );
    this.connections = new Connections(
      options.url,
      options.token,
      options.WebSocket,
      this.core,
      this.settings,
      this.environment,
      {
        onEvents: (events) => {
          this.showEvents(events);
        },
        onProgress: () => {
          this.onProgress();
        },
      },
    );
    this.waiters = new Waiters(this.environment, () => this.endError());
    this.ended = this.run();
  }

  /** The state of the connection. */
  get state(): State {
    if (this.over) return this.error ? "failed" : "closed";
    if (!this.environment.online()) return "offline";
    if (this.core.greeted) return "ready";
    if (!this.core.lastReady) return "connecting";
    return this.core.moving ? "moving" : "reconnecting";
  }

  /** Epoch of the session's holder: it grows with each handoff and takeover. Undefined before the first `ready`. */
  get epoch(): number | undefined {
    return this.core.epoch;
  }

  /** The newest `ready`, with audio formats and head; undefined before the first. */
  get ready(): Ready | undefined {
    return this.core.lastReady;
  }

  /** The approval that the agent waits for, as far as this client knows. */
  get approval(): Approval | undefined {
    return this.core.approval;
  }

  /** Number of the last record shown without a gap before it: -1 for none, undefined before the first `ready`. */
  get lastRecord(): number | undefined {
    return this.core.lastRecord;
  }

  /** Inputs that are not known to be durable. */
  get unacknowledged(): number {
    return this.core.unacknowledged;
  }

  /** Pieces of audio dropped so far, oldest first, because too much was unacknowledged. */
  get audioGivenUp(): number {
    return this.core.givenUp;
  }

  /** Events that `events()` has dropped so far: audio and partial transcripts only. */
  get eventsDropped(): number {
    return this.buffer?.dropped ?? 0;
  }

  /** Connections so far. */
  get connection(): number {
    return this.core.counter;
  }

  /** Milliseconds from the latest answered ping to its answer. */
  get roundTrip(): number | undefined {
    return this.core.roundTrip;
  }

  /** The error that ended the conversation; undefined while it goes on, and after `close()`. */
  get failure(): ClientError | undefined {
    return this.error;
  }

  /** Add a listener for an event. Returns a function that removes it; `signal` removes it, too. */
  on<Name extends EventName>(name: Name, listener: Listener<Name>, options?: { signal?: AbortSignal }): () => void {
    return this.emitter.on(name, listener, options);
  }

  /**
   * Return the server's frames in order, from the first call on, as an iterator.
   *
   * There is one stream, however often this is called. It ends with `close()`, and throws the `ClientError` that ends
   * the conversation otherwise: `EventsNotRead` if too much waits unread.
   */
  events(): AsyncIterableIterator<ServerFrame> {
    if (!this.buffer) {
      this.buffer = new EventBuffer(this.settings.eventCapacity, this.settings.lastingCapacity, this.settings.eventBytes);
      if (this.over) this.buffer.end(this.error);
    }
    return this.buffer;
  }

  /**
   * Wait until a holder listens; return its `ready`.
   *
   * Rejects with `NotReady` after `timeout` milliseconds, while the conversation goes on trying, and with the
   * `ClientError` that ended it.
   */
  async whenReady(timeout = this.settings.readyTimeout): Promise<Ready> {
    await this.waiters.until(
      () => this.core.greeted,
      timeout,
      () => new NotReady(`session ${this.session} was not ready within ${timeout} ms${this.notReadyReason()}; it goes on trying`),
    );
    return this.core.lastReady as Ready;
  }

  /**
   * Send text, again and again until it is durable.
   *
   * Throws `FrameError` if it is empty or too long, `SenderFull` if too much is unacknowledged, and the `ClientError`
   * that ended the conversation.
   */
  sendText(text: string): void {
    if (!text) throw new FrameError("bad_frame", "there is no text");
    this.send({ type: "text", text });
  }

  /**
   * Send a piece of speech: PCM16 mono at the input rate of `ready.audio`, 20 to 250 ms, best 100 ms. The last piece of
   * an utterance may be shorter.
   *
   * It is sent again until a durable turn answers it. Give silent pieces as well: markers are sent in their place (see
   * `silence`).
   *
   * Returns the number of older pieces that were given up for it, because more is unacknowledged than is kept. Throws
   * `FrameError` if it has no whole samples, and the `ClientError` that ended the conversation.
   */
  sendAudio(pcm: Int16Array | Uint8Array | ArrayBuffer): number {
    const bytes = bytesOf(pcm);
    if (!bytes.length || bytes.length % 2) throw new FrameError("bad_frame", "audio is not whole 16-bit samples");
    const marking = this.options.silence !== "send" && this.core.offers("silence");
    const pieces = this.silenceGate.take(bytes, this.core.lastReady?.audio?.input.rate ?? Infinity, marking);
    return this.send(
      ...pieces.map((piece): AudioInput =>
        piece === MARKER ? { type: "audio", audio: "", silence: true } : { type: "audio", audio: toBase64(piece) },
      ),
    );
  }

  /**
   * End an utterance: the microphone was closed or muted.
   *
   * Sends the rest of a second of quiet after the last words, by which the provider notices their end.
   */
  endAudio(): void {
    const quiet = this.silenceGate.end(this.core.lastReady?.audio?.input.rate ?? 0);
    if (!this.over && !this.closing && quiet[0]?.length) {
      this.send(...quiet.map((piece): AudioInput => ({ type: "audio", audio: toBase64(piece) })));
    }
  }

  /**
   * Note the player's position: `ms` milliseconds of the audio event `seq` of `epoch`.
   *
   * The next acknowledgement carries it. When the player has `stopped` after `bargeIn` it is sent at once, because the
   * holder shortens the answer by it.
   */
  played(played: PlayedAudio, { stopped = false } = {}): void {
    this.core.played(played, stopped, this.environment.now());
    if (stopped) this.connections.wake();
  }

  /**
   * Request a page of the conversation, for a client with `history: true`; one request at a time.
   *
   * Its lines precede the record `before`, by default the oldest page so far; the first page is the newest. A `history`
   * event brings the page, too. Lines that were shown already are left out. While a page has `more`, older ones exist.
   *
   * Rejects with `TimedOut` after `timeout` milliseconds, and with the `ClientError` that ended the conversation.
   */
  async history({ before = this.core.pagedFrom, timeout = this.settings.readyTimeout }: HistoryOptions = {}): Promise<HistoryOutput> {
    let page: HistoryOutput | undefined;
    const stopListening = this.on("history", (event) => {
      if (event.more !== undefined && event.before === before) page = event;
    });
    try {
      this.core.askHistory(before, this.environment.now());
      this.connections.wake();
      await this.waiters.until(() => page !== undefined, timeout, () => new TimedOut(`no page of the history within ${timeout} ms`));
      return page as unknown as HistoryOutput;
    } finally {
      stopListening();
    }
  }

  /**
   * Send an image of at most 4.3 MB in several frames, again and again until it is durable.
   *
   * Throws `FrameError` for a wrong size, `SenderFull` if too much is unacknowledged, and the `ClientError` that ended
   * the conversation.
   */
  sendImage(image: Uint8Array | ArrayBuffer, mediaType: MediaType): void {
    this.send(...imageFrames(bytesOf(image), mediaType));
  }

  /**
   * Answer all requests of an approval: for each id a JSON value other than null. Strands' own handlers take `true`,
   * "y" and "yes" as consent.
   *
   * Throws `FrameError` if a response is missing or not JSON, `SenderFull` if too much is unacknowledged, and the
   * `ClientError` that ended the conversation.
   */
  answer(approval: Approval, responses: Readonly<Record<string, unknown>>): void {
    this.send(answerFrame(approval, responses));
  }

  /**
   * Ping the server; return the milliseconds until its answer.
   *
   * Rejects with `TimedOut` after `timeout` milliseconds, and with the `ClientError` that ended the conversation.
   */
  async ping(timeout = this.settings.pongTimeout): Promise<number> {
    const before = this.core.pongs;
    this.core.probeConnections();
    this.connections.wake();
    await this.waiters.until(() => this.core.pongs > before, timeout, () => new TimedOut(`no answer within ${timeout} ms`));
    return this.core.roundTrip as number;
  }

  /**
   * Wait until every input is durable; audio becomes durable with its turn.
   *
   * Rejects with `TimedOut` after `timeout` milliseconds, and with the `ClientError` that ended the conversation.
   */
  async flush(timeout = Infinity): Promise<void> {
    await this.waiters.until(
      () => !this.core.unacknowledged,
      timeout,
      () => new TimedOut(`${this.core.unacknowledged} inputs are unacknowledged after ${timeout} ms`),
    );
  }

  /** Say good-bye and end. Unacknowledged input may have no effect: call `flush` first if it must. */
  async close(): Promise<void> {
    this.closing = true;
    this.connections.end();
    await this.ended;
  }

  private send(...frames: InputFrame[]): number {
    const ended = this.endError();
    if (ended) throw ended;
    const trace = this.options.trace?.();
    const givenUp = this.core.say(...(trace === undefined ? frames : frames.map((frame) => ({ ...frame, trace }))));
    this.connections.wake();
    return givenUp;
  }

  private async run(): Promise<void> {
    try {
      await Promise.resolve(); // first, programs register their listeners
      await this.connections.run();
    } catch (error) {
      this.error =
        error instanceof ClientError ? error : new ConnectionLost(`the client broke off: ${String(error)}`, { cause: error });
    }
    this.finish();
  }

  private finish(): void {
    if (this.over) return;
    this.over = true;
    this.buffer?.end(this.error);
    this.onProgress();
    this.emitter.emit("end", { error: this.error });
  }

  private showEvents(events: readonly ServerFrame[]): void {
    for (const event of events) {
      try {
        this.buffer?.put(event);
      } catch (error) {
        this.error = error as ClientError;
        this.connections.end();
      }
      this.emitter.emitFrame(event);
    }
  }

  /** Wake waiting callers and all connections, and emit a change of the state. */
  private onProgress(): void {
    this.connections.wake();
    this.waiters.checkAll();
    const { state, emittedState: previous } = this;
    if (state === previous) return;
    this.emittedState = state;
    this.emitter.emit("state", { state, previous });
  }

  /** Return the error for calls after the end; undefined while the conversation goes on. */
  private endError(): ClientError | undefined {
    if (!this.over && !this.closing) return undefined;
    return this.error ?? new ClientClosed("the conversation was closed: open a new one");
  }

  /** Return the known reason why no holder is ready, in brackets. */
  private notReadyReason(): string {
    const refusal = this.core.lastError;
    if (refusal) return ` (${refusal.code}: ${refusal.message})`;
    return this.connections.lastError ? ` (${this.connections.lastError})` : "";
  }
}

function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
