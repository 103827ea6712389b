// The client's side of the protocol without any I/O: messages and time go in, frames and events come out. It follows
// segue.client.conversation in Python.
//
// connected ──▶ hello ──▶ (repeated) ──▶ ready ──▶ input, with all that is unacknowledged
//                 ▲                                 │
//                 └── a gap, a new epoch, moved ◀───┘   hello carries the last record: later ones come again
//
// A renewal is a second connection, opened beside the first. Hello goes over the new one, and input over the old one until
// `ready` comes over the new one. Both bring one stream, because numbers are the client's. A renewal is due before the
// first connection grows old, when its worker says `reconnect`, and when a worker does not confirm input.
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

/** Error codes after which the server refuses every frame of this client. */
const FATAL_CODES: ReadonlySet<string> = new Set(["bad_session", "already_bound", "superseded"]);
/** Error codes after which the server refuses every frame of this connection. */
const CREDENTIAL_CODES: ReadonlySet<string> = new Set(["unauthorized", "expired"]);
/**
 * Connections in a row whose credentials expire before a holder is ready; the client ends at the last. A busy server or
 * a slow network is over by then; a function that gets credentials which are old already never gets others.
 */
const MAX_EXPIRIES = 3;

/** One client id in one session, over any number of connections. */
export class Core {
  /** Connections so far. */
  counter = 0;
  /** The newest `ready`. */
  lastReady: Ready | undefined;
  /** The newest `error` since the newest `ready`. */
  lastError: ErrorFrame | undefined;
  /** The error that ends the client; undefined while it goes on. */
  failure: SessionRefused | undefined;
  /** Milliseconds from the latest answered ping to its answer. */
  roundTrip: number | undefined;
  /** Answers to pings so far. */
  pongs = 0;
  /** Connections in a row whose credentials expired before a `ready`. */
  private expiries = 0;
  private readonly links = new Links();
  private readonly input: InputDelivery;
  private readonly output: ShownOutput;
  private readonly greeting: Greeting;

  /** `renewable`: true if each new connection has new credentials, so that expired ones end only the connection. */
  constructor(
    content: HelloContent,
    private readonly settings: ClientSettings,
    private readonly renewable: boolean,
  ) {
    this.input = new InputDelivery(settings);
    this.output = new ShownOutput(settings, content.history ?? false);
    this.greeting = new Greeting(content, settings, this.links, this.input, this.output);
  }

  /** True if a holder has said `ready` on this connection and not `moved` since. */
  get greeted(): boolean {
    return this.input.greeted;
  }

  /** True if the holder has said `moved`, and no holder `ready` since. */
  get moving(): boolean {
    return this.input.moving;
  }

  /**
   * Milliseconds for a handshake after so many unanswered ones: short after a direct connection, since another worker
   * may answer.
   */
  handshakeTimeout(unanswered: number): number {
    if (!this.offers("direct")) return this.settings.connectTimeout;
    return Math.min(this.input.grown(unanswered), this.settings.directConnectTimeout);
  }

  /** True if a connection is open, greeted or not. */
  get hasConnection(): boolean {
    return this.links.current !== undefined;
  }

  /** The highest epoch received. */
  get epoch(): number | undefined {
    return this.output.epoch;
  }

  /** Number of the last record shown without a gap before it: -1 for none, undefined before the first `ready`. */
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

  /** Tell whether the holder offers an optional feature of the protocol. */
  offers(feature: string): boolean {
    return this.lastReady?.features.includes(feature) ?? false;
  }

  /** The record from which on pages have shown the conversation; undefined before the first page. */
  get pagedFrom(): number | undefined {
    return this.output.pagedFrom;
  }

  /** Request a page of the conversation: the lines before a record, or the newest. */
  askHistory(before: number | undefined, now: number): void {
    this.output.pages.ask(before, now);
  }

  /** Note the player's position; send it at once if the player has `stopped` after a `barge_in`. */
  played(played: PlayedAudio, stopped: boolean, now: number): void {
    this.output.played(played, stopped && this.offers("played"), now);
  }

  /** Return the state of a connection; undefined if it was replaced. */
  link(number: number): Link | undefined {
    return this.links.find(number);
  }

  /** Note a new connection, the only one or a renewal; return its number. */
  connected(now: number): number {
    this.counter += 1;
    this.links.renewal = new Link(this.counter, this.settings, now);
    if (!this.links.current) this.switchConnection();
    this.greeting.connected(now);
    return this.counter;
  }

  /** Note that a connection has ended. */
  disconnected(number: number): void {
    if (this.links.remove(number)) this.switchConnection();
  }

  /** Ping every connection: the network has changed, or the computer was asleep. */
  probeConnections(): void {
    this.links.each((link) => link.requestPing());
  }

  /**
   * Keep inputs until they are durable. Returns the number of older pieces of audio given up for them. Throws
   * `FrameError` or `SenderFull`.
   */
  say(...frames: InputFrame[]): number {
    // Checked before they get numbers, which must have no gaps.
    for (const frame of frames) encodeFrame({ ...this.greeting.placed(frame), seq: Number.MAX_SAFE_INTEGER });
    return this.input.add(...frames);
  }

  /** Return the frames to send over a connection now; they count as sent. */
  outgoing(now: number, number: number): ClientFrame[] {
    const link = this.links.find(number);
    if (!link || link.lost) return [];
    // A turn of text has ended by now: the next hello has the approval denied.
    if (this.output.overdue(now)) this.greeting.missOutput(now);
    const frames: ClientFrame[] = this.greeting.due(now, link);
    let pinging = frames.length > 0 && this.offers("direct"); // `ready` may take its time; a live worker answers a ping at once
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

  /** Return the message for a frame: binary for audio where the connection takes it. */
  message(frame: ClientFrame, number: number): string | Uint8Array<ArrayBuffer> {
    return frame.type === "audio" && frame.audio && this.links.find(number)?.binary ? encodeBinary(frame) : encodeFrame(frame);
  }

  /** Tell, once for each connection, whether its renewal is to be opened now. */
  wantsRenewal(now: number, number: number): boolean {
    const link = this.links.newest;
    if (link?.number !== number || !link.wantsRenewal(now, this.silentAt(link))) return false;
    this.input.renewed(link.silent);
    return true;
  }

  /** Take a message of a connection; return the resulting events in order. */
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

  /** Give up frames that were missing for too long; return the events that waited for them. */
  tick(now: number): ServerFrame[] {
    this.links.each((link) => link.tick(now));
    return this.output.expire(now);
  }

  /** Milliseconds until `tick` or `outgoing` may have something; Infinity if only an event changes that. */
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

  /** Switch to the renewal, if there is one; it has brought nothing of the earlier connection's output. */
  private switchConnection(): void {
    if (!this.links.current) this.links.promote();
    this.input.stop();
    this.output.gap(); // frames in flight on the earlier connection are lost
  }

  /** True if an answer of the server is due. */
  private get expecting(): boolean {
    return this.greeting.needed || this.unacknowledged > 0;
  }

  /**
   * Return the time at which a direct connection has been silent for too long; behind a gateway, the gateway finds hung
   * workers.
   *
   * Two answers are due: the holder confirms input, and the worker of the socket answers the ping that follows a hello.
   */
  private silentAt(link: Link): number {
    const unheard = link.direct && link === this.links.current ? this.input.silentAt(link.toldAt) : Infinity;
    const asked = this.greeting.needs(link) ? (link.askedSince ?? Infinity) : Infinity;
    return Math.min(unheard, asked + this.input.patience);
  }

  /** Apply a frame's effects that do not depend on order. Returns false for a frame that is not shown. */
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
        // The successor says ready by itself; hello is for a successor that does not.
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

  /** Note the milliseconds of a round trip. A worker that looks for a holder sends a `pong` without a ping, too. */
  private notePong(took: number | undefined): void {
    if (took === undefined) return;
    this.pongs += 1;
    this.roundTrip = took;
  }

  private onReady(frame: Ready, now: number, link: Link | undefined): void {
    this.lastReady = frame;
    this.lastError = undefined;
    this.expiries = 0;
    this.input.durable(frame.known.upto, frame.known.beyond, now);
    this.output.open(frame.head);
    if (!link) {
      // `ready` came over a replaced connection: the new holder does not know the present one yet.
      if (!this.input.isGreetedIn(frame.epoch)) this.greeting.loseHolder(now);
      return;
    }
    link.greeted(frame.features);
    if (link === this.links.renewal) {
      if (this.links.current?.silent) this.input.swallowed();
      this.links.promote();
      // The holder has not had this connection's hello: output for the old one may be lost.
      if (frame.since === undefined) this.greeting.missOutput(now);
    }
    this.input.ready(frame);
    this.output.pages.ready(frame, now);
  }

  private onError(frame: ErrorFrame, now: number, link: Link | undefined): boolean {
    if (!link || (frame.code === "superseded" && link.number < this.counter)) {
      // A broken connection of this client has superseded this one: only a newer one helps.
      if (link && link === this.links.newest) link.lost = true;
      return false;
    }
    // A repetition, for credentials that are given up already.
    if (link.lost && CREDENTIAL_CODES.has(frame.code)) return false;
    this.lastError = frame;
    if (FATAL_CODES.has(frame.code)) this.failure = new SessionRefused(frame.code, frame.message);
    else if (CREDENTIAL_CODES.has(frame.code)) {
      const expired = frame.code === "expired";
      if (expired && !this.greeted) this.expiries += 1;
      if (this.renewable && (this.greeted || (expired && this.expiries < MAX_EXPIRIES))) link.lost = true;
      else this.failure = new SessionRefused(frame.code, frame.message);
    } else if (frame.code === "unknown_connection") link.lost = true;
    else if (frame.code === "hello_first") this.greeting.loseHolder(now);
    else if (frame.code === "busy" || frame.code === "too_fast") this.input.hold(now + this.settings.busyPause);
    else if (frame.code === "too_many_sessions") this.greeting.slowDown(now);
    return true;
  }
}
