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
 * Open a conversation. It connects at once, and stays connected until `close()`: what is sent takes effect exactly
 * once and in order, and journal content is shown exactly once and in order, across lost connections, redeploys and
 * crashes of the other end. Register listeners before the next `await`.
 *
 * Throws `RangeError` if `session` or `clientId` is not one.
 */
export function connect(options: ConnectOptions): Conversation {
  return new Conversation(options);
}

/** One client of a session. */
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

  /** See `connect`. */
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

  /** Epoch of the session's holder; grows when another takes over. */
  get epoch(): number | undefined {
    return this.core.epoch;
  }

  /** The newest `ready`: audio formats, head. */
  get ready(): Ready | undefined {
    return this.core.lastReady;
  }

  /** The open request of an agent that waits, as far as this client knows. */
  get approval(): Approval | undefined {
    return this.core.approval;
  }

  /** The last record of the journal that was shown without a gap before it, -1 for none. */
  get lastRecord(): number | undefined {
    return this.core.lastRecord;
  }

  /** The number of inputs that are not known to be durable. */
  get unacknowledged(): number {
    return this.core.unacknowledged;
  }

  /** The number of pieces of audio that were dropped, oldest first, because too much was unacknowledged. */
  get audioGivenUp(): number {
    return this.core.givenUp;
  }

  /** The number of events that `events()` has dropped, audio and partial transcripts only. */
  get eventsDropped(): number {
    return this.buffer?.dropped ?? 0;
  }

  /** The number of connections so far. */
  get connection(): number {
    return this.core.counter;
  }

  /** Milliseconds from a ping to its answer, the last time that there was one. */
  get roundTrip(): number | undefined {
    return this.core.roundTrip;
  }

  /** The error that ended the conversation, if it was not `close()`. */
  get failure(): ClientError | undefined {
    return this.error;
  }

  /** Call a listener for every event of a name. Returns how to stop; `signal` stops it, too. */
  on<Name extends EventName>(name: Name, listener: Listener<Name>, options?: { signal?: AbortSignal }): () => void {
    return this.emitter.on(name, listener, options);
  }

  /**
   * The server's frames from the first call on, in order, for a program that would rather iterate. There is one stream,
   * however often this is called. It ends when the conversation is closed, and throws what ended it otherwise.
   */
  events(): AsyncIterableIterator<ServerFrame> {
    if (!this.buffer) {
      this.buffer = new EventBuffer(this.settings.eventCapacity, this.settings.lastingCapacity, this.settings.eventBytes);
      if (this.over) this.buffer.end(this.error);
    }
    return this.buffer;
  }

  /**
   * Wait until a holder listens. Rejects with `NotReady` when that takes longer than `timeout` milliseconds: the
   * conversation goes on trying. Rejects with the `ClientError` that ended it.
   */
  async whenReady(timeout = this.settings.readyTimeout): Promise<Ready> {
    await this.waiters.until(
      () => this.core.greeted,
      timeout,
      () => new NotReady(`session ${this.session} was not ready within ${timeout} ms${this.notReadyReason()}; it goes on trying`),
    );
    return this.core.lastReady as Ready;
  }

  /** Send text; it is kept and sent again until it is durable. Throws `FrameError`, `SenderFull` or `ClientError`. */
  sendText(text: string): void {
    if (!text) throw new FrameError("bad_frame", "there is no text");
    this.send({ type: "text", text });
  }

  /**
   * Send a piece of speech, best 100 ms at a time: PCM16 mono at the input rate of `ready.audio`, 20 to 250 ms; the
   * last one of an utterance may be shorter. It is kept and sent again until a durable turn answers it.
   * While it is silent, markers go instead (see `silence`); just go on giving what the microphone gives.
   *
   * Returns how many older pieces were given up for it, because more is unacknowledged than is kept.
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
   * The microphone was closed or muted. What is lacking of a second of quiet after the last words goes, because the
   * provider answers when it hears their end. What comes next begins anew.
   */
  endAudio(): void {
    const quiet = this.silenceGate.end(this.core.lastReady?.audio?.input.rate ?? 0);
    if (!this.over && !this.closing && quiet[0]?.length) {
      this.send(...quiet.map((piece): AudioInput => ({ type: "audio", audio: toBase64(piece) })));
    }
  }

  /**
   * Say how far the player has come: `ms` milliseconds of the audio event `seq` of `epoch`. It goes with the next
   * acknowledgement, or, when the player has `stopped` after `bargeIn`, at once: the holder corrects by it.
   */
  played(played: PlayedAudio, { stopped = false } = {}): void {
    this.core.played(played, stopped, this.environment.now());
    if (stopped) this.connections.wake();
  }

  /**
   * Ask for a page of the conversation, for a client with `history: true`: the lines before a record, else the next
   * older ones, or the newest if no page has come yet. One at a time. It comes as a `history` event, too; lines that
   * were shown already are not in it. There are older ones for as long as a page says `more`.
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

  /** Send an image, 4.3 MB at most, in as many frames as it takes; it is kept and sent again until it is durable. */
  sendImage(image: Uint8Array | ArrayBuffer, mediaType: MediaType): void {
    this.send(...imageFrames(bytesOf(image), mediaType));
  }

  /**
   * Answer an approval, all its requests together: for the id of each any JSON value but null. For Strands' own
   * handlers `true`, "y" and "yes" are consent.
   */
  answer(approval: Approval, responses: Readonly<Record<string, unknown>>): void {
    this.send(answerFrame(approval, responses));
  }

  /** Have the server answer; returns the milliseconds that it took. */
  async ping(timeout = this.settings.pongTimeout): Promise<number> {
    const before = this.core.pongs;
    this.core.probeConnections();
    this.connections.wake();
    await this.waiters.until(() => this.core.pongs > before, timeout, () => new TimedOut(`no answer within ${timeout} ms`));
    return this.core.roundTrip as number;
  }

  /** Wait until everything that was sent is durable. Audio is so with the turn that it belongs to. */
  async flush(timeout = Infinity): Promise<void> {
    await this.waiters.until(
      () => !this.core.unacknowledged,
      timeout,
      () => new TimedOut(`${this.core.unacknowledged} inputs are unacknowledged after ${timeout} ms`),
    );
  }

  /** Say good-bye and end. What is unacknowledged may not have taken effect: `flush` first if it must. */
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
      await Promise.resolve(); // listeners are registered first
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

  /** Tell callers that wait, every connection, and who watches the state, of a change. */
  private onProgress(): void {
    this.connections.wake();
    this.waiters.checkAll();
    const { state, emittedState: previous } = this;
    if (state === previous) return;
    this.emittedState = state;
    this.emitter.emit("state", { state, previous });
  }

  /** What programs are told that still want something; undefined while the conversation goes on. */
  private endError(): ClientError | undefined {
    if (!this.over && !this.closing) return undefined;
    return this.error ?? new ClientClosed("the conversation was closed: open a new one");
  }

  /** The reason why no holder was ready, as far as it is known. */
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
