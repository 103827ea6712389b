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
import type { Approval, ClientFrame, ErrorFrame, Ready, ServerFrame } from "../generated/protocol.js";
import type { InputFrame } from "./frames.js";
import { decodeMessage, encodeBinary, encodeFrame } from "./frames.js";
import type { HelloContent } from "./greeting.js";
import { Greeting } from "./greeting.js";
import { InputDelivery } from "./input-delivery.js";
import { Link, Links } from "./link.js";
import type { ClientSettings } from "./settings.js";
import type { PlayedAudio } from "./shown-output.js";
import { ShownOutput } from "./shown-output.js";

/** After these the server will refuse whatever this client says. */
const FATAL_CODES: ReadonlySet<string> = new Set(["bad_session", "already_bound", "superseded"]);
/** After these it refuses what comes over this connection. */
const CREDENTIAL_CODES: ReadonlySet<string> = new Set(["unauthorized", "expired"]);

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
  /** Milliseconds from the last ping that was answered to its answer. */
  roundTrip: number | undefined;
  /** Answers to pings so far. */
  pongs = 0;
  private readonly links = new Links();
  private readonly input: InputDelivery;
  private readonly output: ShownOutput;
  private readonly greeting: Greeting;

  /** `renewable`: whether each new connection has new credentials, so that expired ones are no end. */
  constructor(
    content: HelloContent,
    private readonly settings: ClientSettings,
    private readonly renewable: boolean,
  ) {
    this.input = new InputDelivery(settings);
    this.output = new ShownOutput(settings, content.history ?? false);
    this.greeting = new Greeting(content, settings, this.links, this.input, this.output);
  }

  /** Tell whether a holder has said `ready` on this connection and not moved since. */
  get greeted(): boolean {
    return this.input.greeted;
  }

  /** True if the holder has said `moved`, and none has said `ready` since. */
  get moving(): boolean {
    return this.input.moving;
  }

  /** Milliseconds that a handshake may take, after so many that nothing answered: the next one may lead elsewhere. */
  handshakeTimeout(unanswered: number): number {
    if (!this.offers("direct")) return this.settings.connectTimeout;
    return Math.min(this.input.grown(unanswered), this.settings.directConnectTimeout);
  }

  /** Tell whether a connection is open, greeted or not. */
  get hasConnection(): boolean {
    return this.links.current !== undefined;
  }

  /** The highest epoch heard of. */
  get epoch(): number | undefined {
    return this.output.epoch;
  }

  /** The last record shown without a gap before it, -1 for none; undefined before the first `ready`. */
  get lastRecord(): number | undefined {
    return this.output.lastRecord;
  }

  /** The approval that the agent waits for, as it was shown. */
  get approval(): Approval | undefined {
    return this.output.approval;
  }

  get unacknowledged(): number {
    return this.input.unacknowledged;
  }

  get givenUp(): number {
    return this.input.givenUp;
  }

  /** Tell whether the holder knows an optional part of the protocol. */
  offers(feature: string): boolean {
    return this.lastReady?.features.includes(feature) ?? false;
  }

  /** The place from which on the conversation has been shown in pages; undefined before the first page. */
  get pagedFrom(): number | undefined {
    return this.output.pagedFrom;
  }

  /** Ask for a page of the conversation: the lines before a record, or the newest. */
  askHistory(before: number | undefined, now: number): void {
    this.output.pages.ask(before, now);
  }

  /** Note how far the player has come; once it has `stopped` after a `barge_in`, the holder is told at once. */
  played(played: PlayedAudio, stopped: boolean, now: number): void {
    this.output.played(played, stopped && this.offers("played"), now);
  }

  /** The state of a connection; undefined if it was replaced. */
  link(number: number): Link | undefined {
    return this.links.find(number);
  }

  /** A new connection is open: the only one, or the renewal of one that still works. Returns its number. */
  connected(now: number): number {
    this.counter += 1;
    this.links.renewal = new Link(this.counter, this.settings, now);
    if (!this.links.current) this.switchConnection();
    this.greeting.connected(now);
    return this.counter;
  }

  /** A connection is gone. */
  disconnected(number: number): void {
    if (this.links.remove(number)) this.switchConnection();
  }

  /** Have every connection show that it is alive: the network has changed, or the computer was asleep. */
  probeConnections(): void {
    this.links.each((link) => link.requestPing());
  }

  /** Keep inputs until they are durable. Returns how many older pieces of audio were given up for it. */
  say(...frames: InputFrame[]): number {
    // Before they get numbers that must not be skipped:
    for (const frame of frames) encodeFrame({ ...this.greeting.placed(frame), seq: Number.MAX_SAFE_INTEGER });
    return this.input.add(...frames);
  }

  /** Return the frames to send over a connection now; they count as sent. */
  outgoing(now: number, number: number): ClientFrame[] {
    const link = this.links.find(number);
    if (!link || link.lost) return [];
    // Nothing runs between two turns: the hello has the approval denied.
    if (this.output.overdue(now)) this.greeting.missOutput(now);
    const frames: ClientFrame[] = this.greeting.due(now, link);
    let pinging = frames.length > 0 && this.offers("direct"); // `ready` may take its time, the pong of a worker that lives does not
    if (pinging) link.asks(now);
    if (link === this.links.current) {
      frames.push(...this.input.due(now).map((frame) => this.greeting.placed(frame)));
      if (this.greeted && this.offers("history")) frames.push(...this.output.pages.due(now, this.lastRecord));
      frames.push(...this.output.acks(now, this.offers("played")));
    }
    if (frames.length) link.spoke(now);
    if (link.ping(now, this.expecting)) {
      link.spoke(now);
      pinging = true;
    }
    if (pinging) frames.push({ type: "ping" });
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
    this.input.renewed(link.silent);
    return true;
  }

  /** Take a message of a connection; return the events that it makes, in order. */
  received(message: unknown, now: number, number: number): ServerFrame[] {
    const link = this.links.find(number);
    this.input.answered(link?.askedSince, now);
    link?.heard();
    const events: ServerFrame[] = [];
    for (const frame of decodeMessage(message)) {
      if (this.output.isStale(frame)) continue;
      if (link && frame.type !== "pong" && frame.type !== "reconnect") link.toldAt = now;
      if (this.apply(frame, now, link)) events.push(...this.output.offerFrame(frame, now));
    }
    return events;
  }

  /** Give up what has been waited for long enough; return the events that were held up by it. */
  tick(now: number): ServerFrame[] {
    this.links.each((link) => link.tick(now));
    return this.output.expire(now);
  }

  /** Milliseconds until `tick` or `outgoing` may have something; Infinity for not before something happens. */
  wakeup(now: number, number: number): number {
    const waits = [this.output.wakeup(now)];
    const link = this.links.find(number);
    if (link) {
      waits.push(link.wakeup(now, this.expecting), this.output.overdueWait(now), this.greeting.wait(now, link));
      if (link === this.links.newest) waits.push(link.renewalWait(now, this.silentAt(link)));
      if (link === this.links.current) {
        waits.push(this.input.wakeup(now), this.output.ackWakeup(now));
        if (this.greeted && this.offers("history")) waits.push(this.output.pages.wakeup(now));
      }
    }
    return Math.max(0, Math.min(...waits));
  }

  /** Go on over a connection that has heard nothing of what came before it, if there is one. */
  private switchConnection(): void {
    if (!this.links.current) this.links.promote();
    this.input.stop();
    this.output.gap(); // what was on its way on the last connection is gone
  }

  /** True if an answer of the server is due. */
  private get expecting(): boolean {
    return this.greeting.needed || this.unacknowledged > 0;
  }

  /**
   * The time when a direct connection is silent for too long. Where there is a gateway, that finds who hangs. Its holder
   * confirms what was sent, and the worker of its socket answers the ping that goes with a hello.
   */
  private silentAt(link: Link): number {
    const unheard = link.direct && link === this.links.current ? this.input.silentAt(link.toldAt) : Infinity;
    const asked = this.greeting.needs(link) ? (link.askedSince ?? Infinity) : Infinity;
    return Math.min(unheard, asked + this.input.patience);
  }

  /** Apply a frame whose effect does not depend on order, on arrival. False: no caller needs to see it. */
  private apply(frame: ServerFrame, now: number, link: Link | undefined): boolean {
    switch (frame.type) {
      case "ready":
        this.onReady(frame, now, link);
        return true;
      case "ack":
        this.input.acknowledged(frame, now);
        return true;
      case "reconnect":
        link?.renew(now + frame.after_ms);
        return false;
      case "received":
        this.input.arrived(frame, now);
        return true;
      case "resume":
        this.input.askedAgain(frame);
        return true;
      case "moved":
        // The successor says ready by itself; hello is for the case that it does not.
        this.input.moved();
        this.greeting.loseHolder(now + this.settings.helloInterval);
        return true;
      case "error":
        return this.onError(frame, now, link);
      case "pong":
        this.notePong(link?.answered(now));
        return true;
      default:
        return true;
    }
  }

  /** Note the milliseconds that a ping took. A worker that looks for a holder says `pong` without one, too. */
  private notePong(took: number | undefined): void {
    if (took === undefined) return;
    this.pongs += 1;
    this.roundTrip = took;
  }

  private onReady(frame: Ready, now: number, link: Link | undefined): void {
    this.lastReady = frame;
    this.lastError = undefined;
    this.input.durable(frame.known.upto, frame.known.beyond, now);
    this.output.open(frame.head);
    if (!link) {
      // Said over a connection that has been replaced: the new holder does not know of the present one yet.
      if (!this.input.isGreetedIn(frame.epoch)) this.greeting.loseHolder(now);
      return;
    }
    link.greeted(frame.features);
    if (link === this.links.renewal) {
      if (this.links.current?.silent) this.input.swallowed();
      this.links.promote();
      // The holder has not heard hello here: what waited for the old one may be gone.
      if (frame.since === undefined) this.greeting.missOutput(now);
    }
    this.input.ready(frame);
    this.output.pages.ready(frame, now);
  }

  private onError(frame: ErrorFrame, now: number, link: Link | undefined): boolean {
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
    else if (frame.code === "hello_first") this.greeting.loseHolder(now);
    else if (frame.code === "busy" || frame.code === "too_fast") this.input.hold(now + this.settings.busyPause);
    else if (frame.code === "too_many_sessions") this.greeting.slowDown(now);
    return true;
  }
}
