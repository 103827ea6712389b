// The client's side of the protocol without any I/O: messages and time go in, frames and events come out. The model is
// segue.client.conversation in Python.
//
// connected ──▶ hello ──▶ (repeated) ──▶ ready ──▶ input, and all of it again that is not acknowledged
//                 ▲                                 │
//                 └── a gap, a new epoch, moved ◀───┘   hello carries what was shown: the rest is said again
//
// A second connection that is opened beside the first is its renewal: hello goes over the new one, input over the old
// one until `ready` comes over the new one, and what both bring is one stream, because its numbers are the client's. It
// is opened before the first grows old, when its worker says `reconnect`, and when a worker does not confirm what was sent.
import { SessionRefused } from "../errors.js";
import type {
  Approval,
  ClientFrame,
  ErrorFrame,
  Hello,
  HistoryOutput,
  OutputAck,
  Played,
  Ready,
  ServerFrame,
} from "../generated/protocol.js";
import type { InputFrame } from "./frames.js";
import { decodeMessage, encodeBinary, encodeFrame } from "./frames.js";
import { HelloTimer } from "./greeting.js";
import { HistoryRequests } from "./history.js";
import { Link, Links } from "./link.js";
import type { Item } from "./output.js";
import { GAP, isJournalFrame, JournalCursor, OutputOrder } from "./output.js";
import { Sender } from "./sender.js";
import type { ClientSettings } from "./settings.js";

/** After these the server will refuse whatever this client says. */
const FATAL_CODES: ReadonlySet<string> = new Set(["bad_session", "already_bound", "superseded"]);
/** After these it refuses what comes over this connection. */
const CREDENTIAL_CODES: ReadonlySet<string> = new Set(["unauthorized", "expired"]);
/** After an approval's time is over, hello is said so much later: the holder's clock may be behind. */
const OVERDUE = 500;

const SESSION = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/;
const CLIENT_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** The content of every hello. */
export interface Greeting {
  readonly session: string;
  readonly clientId: string;
  readonly modality?: "voice" | "text";
  readonly approvals?: boolean;
  readonly history?: boolean;
}

/** The place that the player of a client has come to: `ms` milliseconds of the audio frame `seq` of `epoch`. */
export interface PlayedAudio {
  readonly epoch: number;
  readonly seq: number;
  readonly ms: number;
}

/** One client id in one session, over any number of connections. */
export class Core {
  /** Connections so far. */
  counter = 0;
  /** The newest `ready`. */
  lastReady: Ready | undefined;
  /** The newest `error` since then. */
  lastError: ErrorFrame | undefined;
  /** The reason why nothing more will come of this, if so. */
  failure: SessionRefused | undefined;
  /** The approval that the agent waits for, as it was shown. */
  approval: Approval | undefined;
  /** True if the holder has said `moved`, and none has said `ready` since. */
  moving = false;
  /** Milliseconds from the last ping that was answered to its answer. */
  roundTrip: number | undefined;
  /** Answers to pings so far. */
  pongs = 0;
  private readonly greeting: Hello;
  private readonly sender: Sender;
  private readonly order: OutputOrder;
  private readonly cursor = new JournalCursor();
  private readonly hellos: HelloTimer;
  private readonly links = new Links();
  private readonly pages: HistoryRequests;
  private playedAudio: PlayedAudio | undefined;
  private greetedIn: number | undefined; // the epoch that said ready on this connection: input may flow
  private holder: number | undefined; // the epoch that has what has arrived
  private askedAgainAt = 0; // what it said before that is no news any more
  private ackAt = Infinity;
  private overdueAt = Infinity; // when the approval's time is over
  private silences = 0; // renewals in a row that were opened because nothing was confirmed

  /** `renewable`: whether each new connection has new credentials, so that expired ones are no end. */
  constructor(
    greeting: Greeting,
    private readonly settings: ClientSettings,
    private readonly renewable: boolean,
  ) {
    if (!SESSION.test(greeting.session)) {
      throw new RangeError("a session id has 1 to 128 of the characters A-Z a-z 0-9 . _ - and is neither . nor ..");
    }
    if (!CLIENT_ID.test(greeting.clientId)) {
      throw new RangeError("a client id has 1 to 64 of the characters A-Z a-z 0-9 . _ -");
    }
    this.greeting = {
      type: "hello",
      session: greeting.session,
      client_id: greeting.clientId,
      connection: 1,
      ...(greeting.modality === "text" && { modality: "text" }),
      ...(greeting.approvals && { approvals: true }),
      ...(greeting.history && { history: true }),
      binary: true,
    };
    this.sender = new Sender(settings);
    this.order = new OutputOrder(settings.gapPatience);
    this.hellos = new HelloTimer(settings);
    this.pages = new HistoryRequests(settings, greeting.history ?? false);
  }

  /** Tell whether a holder has said `ready` on this connection and not moved since. */
  get greeted(): boolean {
    return this.greetedIn !== undefined;
  }

  /** The highest epoch heard of. */
  get epoch(): number | undefined {
    return this.order.epoch;
  }

  /** The last record shown without a gap before it, -1 for none; undefined before the first `ready`. */
  get lastRecord(): number | undefined {
    return this.cursor.lastRecord;
  }

  get unacknowledged(): number {
    return this.sender.unacknowledged;
  }

  get givenUp(): number {
    return this.sender.givenUp;
  }

  /** Tell whether the holder knows an optional part of the protocol. */
  has(feature: string): boolean {
    return this.lastReady?.features.includes(feature) ?? false;
  }

  /** The place from which on the conversation has been shown in pages; undefined before the first page. */
  get pagedFrom(): number | undefined {
    return this.cursor.pagedFrom === Infinity ? undefined : this.cursor.pagedFrom;
  }

  /** Ask for a page of the conversation: the lines before a record, or the newest. */
  askHistory(before: number | undefined, now: number): void {
    this.pages.ask(before, now);
  }

  /** Note how far the player has come; once it has `stopped` after a `barge_in`, the holder is told at once. */
  played(played: PlayedAudio, stopped: boolean, now: number): void {
    this.playedAudio = played;
    if (stopped && this.has("played")) this.ackAt = now;
  }

  /** The state of a connection; undefined if it was replaced. */
  link(number: number): Link | undefined {
    return this.links.find(number);
  }

  /** A new connection is open: the only one, or the renewal of one that still works. Returns its number. */
  connected(now: number): number {
    this.counter += 1;
    this.links.renewal = new Link(this.counter, this.settings, now);
    if (!this.links.current) this.goOn();
    this.hellos.forget();
    this.hellos.restart(now);
    return this.counter;
  }

  /** A connection is gone. */
  disconnected(number: number): void {
    if (this.links.remove(number)) this.goOn();
  }

  /** Have every connection show that it is alive: the network has changed, or the computer was asleep. */
  doubt(): void {
    this.links.each((link) => link.ask());
  }

  /** Keep inputs until they are durable. Returns how many older pieces of audio were given up for it. */
  say(...frames: InputFrame[]): number {
    // Before they get numbers that must not be skipped:
    for (const frame of frames) encodeFrame({ ...this.placed(frame), seq: Number.MAX_SAFE_INTEGER });
    return this.sender.add(...frames);
  }

  /** Return the frames to send over a connection now; they count as sent. */
  outgoing(now: number, number: number): ClientFrame[] {
    const link = this.links.find(number);
    if (!link || link.lost) return [];
    const frames: ClientFrame[] = [];
    let asks = false;
    if (this.overdueAt <= now) {
      this.overdueAt = Infinity;
      this.missing(now); // nothing runs between two turns: the hello has the approval denied
    }
    if (this.saysHello(link) && this.hellos.wait(now) <= 0) {
      this.hellos.said(now);
      frames.push(this.hello(link));
      asks = this.has("direct"); // `ready` may take its time, the pong of a worker that lives does not
      if (asks) link.asks(now);
    }
    if (link === this.links.current) {
      if (this.greeted) frames.push(...this.sender.due(now).map((frame) => this.placed(frame)));
      if (this.greeted && this.has("history")) frames.push(...this.pages.due(now, this.cursor.lastRecord));
      frames.push(...this.outputAck(now));
    }
    if (frames.length) link.spoke(now);
    if (link.ping(now, this.expecting)) {
      link.spoke(now);
      asks = true;
    }
    if (asks) frames.push({ type: "ping" });
    return frames;
  }

  /** Return the message for a frame, as the connection takes it. */
  message(frame: ClientFrame, number: number): string | Uint8Array<ArrayBuffer> {
    return frame.type === "audio" && frame.audio && this.links.find(number)?.binary ? encodeBinary(frame) : encodeFrame(frame);
  }

  /** Tell, once for each connection, whether the next one is to be opened beside it now. */
  wantsRenewal(now: number, number: number): boolean {
    const link = this.links.newest;
    if (link?.number !== number || !link.wantsRenewal(now, this.silentAt(link))) return false;
    if (link.silent) this.silences += 1;
    return true;
  }

  /** Take a message of a connection; return the events that it makes, in order. */
  received(message: unknown, now: number, number: number): ServerFrame[] {
    const link = this.links.find(number);
    link?.heard();
    const events: ServerFrame[] = [];
    for (const frame of decodeMessage(message)) {
      if (this.isStale(frame)) continue;
      if (link && frame.type !== "pong" && frame.type !== "reconnect") link.toldAt = now;
      if (this.obey(frame, now, link)) events.push(...this.show(this.order.offer(frame, now), now));
    }
    return events;
  }

  /** Give up what has been waited for long enough; return the events that were held up by it. */
  tick(now: number): ServerFrame[] {
    this.links.each((link) => link.tick(now));
    return this.show(this.order.expire(now), now);
  }

  /** Milliseconds until `tick` or `outgoing` may have something; Infinity for not before something happens. */
  wakeup(now: number, number: number): number {
    const waits = [this.order.wakeup(now)];
    const link = this.links.find(number);
    if (link) {
      waits.push(link.wakeup(now, this.expecting), this.overdueAt - now);
      if (link === this.links.newest) waits.push(link.renewalWait(now, this.silentAt(link)));
      if (this.saysHello(link)) waits.push(this.hellos.wait(now));
      if (link === this.links.current) {
        if (this.greeted) waits.push(this.sender.wakeup(now));
        if (this.greeted && this.has("history")) waits.push(this.pages.wakeup(now));
        waits.push(this.ackAt - now);
      }
    }
    return Math.max(0, Math.min(...waits));
  }

  private hello(link: Link): Hello {
    const last = this.cursor.lastRecord;
    return { ...this.greeting, connection: link.number, ...(last !== undefined && { last_record: last }) };
  }

  /** Say with an input what was shown before it, where each turn may have a holder of its own. */
  private placed(frame: InputFrame): InputFrame {
    const last = this.cursor.lastRecord;
    const takes = frame.type === "answer" || (frame.type === "text" && this.greeting.modality === "text");
    return takes && last !== undefined ? { ...frame, last_record: last } : frame;
  }

  /** Go on over a connection that has heard nothing of what came before it, if there is one. */
  private goOn(): void {
    if (!this.links.current) this.links.promote();
    this.greetedIn = undefined;
    this.cursor.gap(); // what was on its way on the last connection is gone
  }

  /** True if hello is to be repeated: no holder listens, or the shown output may be incomplete. */
  private get needsHello(): boolean {
    return !this.greeted || !this.cursor.complete || this.links.renewal !== undefined;
  }

  private saysHello(link: Link): boolean {
    return this.needsHello && link === this.links.newest;
  }

  /** True if an answer of the server is due. */
  private get expecting(): boolean {
    return this.needsHello || this.sender.unacknowledged > 0;
  }

  /** The time when a direct connection is silent for too long. Where there is a gateway, that finds who hangs. */
  private silentAt(link: Link): number {
    const since = Math.min(this.unheardSince(link), this.unansweredSince(link));
    return since + this.sender.grown(this.settings.receivedTimeout, this.silences);
  }

  /**
   * The time from which on the holder is silent: what was sent is confirmed in a second. A holder without a window
   * confirms nothing.
   */
  private unheardSince(link: Link): number {
    const confirms = link.direct && link === this.links.current && this.greeted && this.sender.window !== undefined;
    return confirms ? Math.max(this.sender.unheardSince, link.toldAt) : Infinity;
  }

  /** The time from which on the worker of the socket is silent: it answers the ping that goes with a hello. */
  private unansweredSince(link: Link): number {
    return this.saysHello(link) ? (link.askedSince ?? Infinity) : Infinity;
  }

  private outputAck(now: number): OutputAck[] {
    if (this.ackAt > now) return [];
    this.ackAt = Infinity;
    const epoch = this.order.epoch;
    // Nothing was said yet in an epoch that has just begun.
    if (epoch === undefined || !this.order.released) return [];
    const played = this.playedIn(epoch);
    return [{ type: "ack", epoch, seq: this.order.released, ...(played && { played }) }];
  }

  private playedIn(epoch: number): Played | undefined {
    if (!this.playedAudio || !this.has("played")) return undefined;
    const { epoch: of, seq, ms } = this.playedAudio;
    return of === epoch ? { seq, ms: Math.max(0, Math.round(ms)) } : { seq: 0, ms: 0 };
  }

  private loseHolder(helloAt: number): void {
    if (!this.needsHello) this.hellos.restart(helloAt);
    this.greetedIn = undefined;
  }

  private isStale(frame: ServerFrame): boolean {
    return frame.epoch !== undefined && this.order.epoch !== undefined && frame.epoch < this.order.epoch;
  }

  /** Apply a frame whose effect does not depend on order, on arrival. False: no caller needs to see it. */
  private obey(frame: ServerFrame, now: number, link: Link | undefined): boolean {
    switch (frame.type) {
      case "ready":
        this.ready(frame, now, link);
        return true;
      case "ack":
        this.silences = 0;
        this.sender.ack(frame.upto, frame.beyond, now);
        return true;
      case "reconnect":
        link?.renew(now + frame.after_ms);
        return false;
      case "received":
        this.silences = 0;
        if (frame.epoch === this.greetedIn && (frame.seq ?? 0) > this.askedAgainAt) {
          this.sender.arrived(frame.upto, frame.beyond, now);
        }
        return true;
      case "resume":
        this.askedAgainAt = frame.seq ?? 0;
        this.sender.resendAll();
        return true;
      case "moved":
        // The successor says ready by itself; hello is for the case that it does not.
        this.holder = undefined;
        this.moving = true;
        this.loseHolder(now + this.settings.helloInterval);
        return true;
      case "error":
        return this.error(frame, now, link);
      case "pong":
        this.answered(link?.answered(now));
        return true;
      default:
        return true;
    }
  }

  /** Note the milliseconds that a ping took. A worker that looks for a holder says `pong` without one, too. */
  private answered(took: number | undefined): void {
    if (took === undefined) return;
    this.pongs += 1;
    this.roundTrip = took;
  }

  private ready(frame: Ready, now: number, link: Link | undefined): void {
    this.lastReady = frame;
    this.lastError = undefined;
    this.sender.ack(frame.known.upto, frame.known.beyond, now);
    this.cursor.open(frame.head);
    if (!link) {
      // Said over a connection that has been replaced: the new holder does not know of the present one yet.
      if (this.greetedIn !== frame.epoch) this.loseHolder(now);
      return;
    }
    link.greeted(frame.features);
    if (link === this.links.renewal) {
      // The silent connection may have swallowed some.
      if (this.links.current?.silent) this.sender.resendLost();
      this.links.promote();
      // The holder has not heard hello here: what waited for the old one may be gone.
      if (frame.since === undefined) this.missing(now);
    }
    this.sender.window = frame.window;
    if (this.holder !== frame.epoch) {
      this.askedAgainAt = frame.seq ?? 0;
      this.sender.resendAll(); // a new holder has nothing of it
    } else if (this.greetedIn !== frame.epoch) {
      this.sender.resendLost(); // a dead connection may have swallowed some
    }
    this.greetedIn = this.holder = frame.epoch;
    this.moving = false;
    this.pages.ready(frame, now);
  }

  private error(frame: ErrorFrame, now: number, link: Link | undefined): boolean {
    if (!link || (frame.code === "superseded" && link.number < this.counter)) {
      // Superseded by a connection of ours that has broken meanwhile: only a newer one helps.
      if (link && link === this.links.newest) link.lost = true;
      return false;
    }
    this.lastError = frame;
    if (FATAL_CODES.has(frame.code)) this.failure = new SessionRefused(frame.code, frame.message);
    else if (CREDENTIAL_CODES.has(frame.code)) {
      if (this.renewable && this.greeted) link.lost = true;
      else this.failure = new SessionRefused(frame.code, frame.message);
    } else if (frame.code === "unknown_connection") link.lost = true;
    else if (frame.code === "hello_first") this.loseHolder(now);
    else if (frame.code === "busy" || frame.code === "too_fast") this.sender.hold(now + this.settings.busyPause);
    else if (frame.code === "too_many_sessions") this.hellos.slowDown(now);
    return true;
  }

  private missing(now: number): void {
    if (!this.needsHello) this.hellos.restart(now);
    this.cursor.gap();
  }

  private show(items: Item[], now: number): ServerFrame[] {
    const events: ServerFrame[] = [];
    for (const item of items) {
      if (item === GAP) {
        this.missing(now);
        continue;
      }
      if (item.type === "approval") this.follow(item, now);
      const shown = item.type === "history" ? this.lines(item) : this.cursor.accept(item) ? item : undefined;
      if (!shown) continue;
      const isContent = (isJournalFrame(shown) && shown.record !== undefined) || shown.type === "history";
      if (isContent && this.ackAt === Infinity) this.ackAt = now + this.settings.ackDelay;
      if (shown.type !== "pong") events.push(shown);
    }
    return events;
  }

  /** Return what to show of lines of the conversation. A page is shown even if it brings nothing new: it was asked for. */
  private lines(frame: HistoryOutput): HistoryOutput | undefined {
    if (frame.more !== undefined) return this.cursor.page(frame, this.pages.came(frame.before));
    const typed = this.cursor.typed(frame);
    return typed?.lines.length ? typed : undefined;
  }

  /** Note what is waited for, and until when; said again it says the same. */
  private follow(frame: Approval, now: number): void {
    const asked = frame.status === "asked";
    this.approval = asked ? frame : undefined;
    this.overdueAt = asked ? now + (frame.seconds ?? 0) * 1000 + OVERDUE : Infinity;
  }
}
