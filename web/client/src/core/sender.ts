// Input numbering: unacknowledged input is kept and sent again. It follows segue.wire.sender in Python.
//
//     add ─▶ unsent ──due──▶ sent, with a number ──ack──▶ forgotten
//               │                │  ▲ timeout, missing, new holder, resume
//               │                ▼  │
//               │               due again
//               └ audio beyond the capacity: the oldest goes. Unsent, it has no number yet; sent, its number stays, empty,
//                 because the holder waits for it
//
// Times are arguments: milliseconds on the caller's own monotonic clock.
import { SenderFull } from "../errors.js";
import type { InputFrame } from "./frames.js";
import { TokenBucket } from "./rate.js";
import type { ClientSettings } from "./settings.js";

/** Estimated bytes of a frame beside its content, which count against the capacity. */
const FRAME_OVERHEAD_BYTES = 200;
/** Milliseconds after its sending in which a frame that the holder lacks counts as in flight, and is not sent again. */
const RESEND_PATIENCE_MS = 1_000;
/** Milliseconds that a holder may take until `received`. */
const RECEIVED_DELAY_MS = 1_000;
/** Round trips of other frames after which one that has not arrived counts as lost. */
const LOST_AFTER_ROUNDS = 2;

interface Sent {
  frame: InputFrame;
  dueAt: number;
  sentAt: number;
  /** Time of the first sending, or of the first since everything was asked for again. */
  firstSentAt: number;
  /** Sendings since then. */
  times: number;
  arrived: boolean;
}

/** Input of a client, numbered, and kept until it is durable. */
export class Sender {
  /** Pieces of audio dropped because too much was unacknowledged. */
  givenUp = 0;
  /** Frames that may be in flight; undefined for any number. */
  window: number | undefined;
  private readonly pace: TokenBucket;
  private nextSeq = 1;
  private unsent: InputFrame[] = [];
  private readonly sent = new Map<number, Sent>(); // in order of seq, because frames are only added at the end
  private audioBytes = 0;
  private lastingBytes = 0;
  private pathDelay = 0; // latest delay of the path, without the holder's own
  private heldUntil = -Infinity;

  constructor(private readonly settings: ClientSettings) {
    this.pace = new TokenBucket(settings.rate, settings.burst);
  }

  /** Frames that are kept. */
  get unacknowledged(): number {
    return this.unsent.length + this.sent.size;
  }

  /** Time of the oldest sending without `received`; Infinity if the holder has everything. */
  get unheardSince(): number {
    let since = Infinity;
    for (const sent of this.sent.values()) if (sent.times > 0 && !sent.arrived) since = Math.min(since, sent.firstSentAt);
    return since;
  }

  /**
   * Keep frames; `due` numbers them. Returns the number of older pieces of audio given up for them. Throws
   * `SenderFull`.
   */
  add(...frames: InputFrame[]): number {
    let lasting = 0;
    for (const frame of frames) if (frame.type !== "audio") lasting += cost(frame);
    if (lasting && this.lastingBytes + lasting > this.settings.lastingBytes) {
      throw new SenderFull(`${this.unacknowledged} inputs are unacknowledged: send this one when some are acknowledged`);
    }
    for (const frame of frames) {
      this.unsent.push(frame);
      this.count(frame, 1);
    }
    let givenUp = 0;
    while (this.audioBytes > this.settings.audioBytes && this.giveUpOldest()) givenUp += 1;
    this.givenUp += givenUp;
    return givenUp;
  }

  /**
   * Forget durable frames; harmless if repeated or late.
   *
   * The timers of the others start anew: those frames are in flight behind the arrived ones (as in RFC 6298).
   */
  ack(upto: number, beyond: readonly number[], now: number): void {
    const before = this.sent.size;
    for (const seq of this.sent.keys()) {
      if (seq > upto) break;
      this.forget(seq);
    }
    for (const seq of beyond) this.forget(seq);
    if (this.sent.size === before) return;
    for (const sent of this.sent.values()) {
      if (sent.times) sent.dueAt = Math.max(sent.dueAt, now + this.timeout(sent.frame, 0));
    }
  }

  /** Note the frames that the holder has received, and so those that it lacks; harmless if repeated or late. */
  arrived(upto: number, beyond: readonly number[], now: number): void {
    const present = new Set(beyond);
    let highest = beyond.length ? 0 : upto;
    for (const seq of beyond) highest = Math.max(highest, seq);
    for (const [seq, sent] of this.sent) {
      if (seq <= upto || present.has(seq)) {
        this.hasArrived(sent, now);
      } else if (seq < highest && sent.sentAt + this.grown(RESEND_PATIENCE_MS, sent.times - 1) <= now) {
        sent.dueAt = Math.min(sent.dueAt, now);
        // All others wait for this one: it needs no room in the window.
        if (seq === upto + 1) sent.times = Math.max(sent.times, 1);
      }
    }
  }

  /** Make everything unacknowledged due for a new holder, except for frames that may still be in flight to it. */
  resendAll(): void {
    for (const sent of this.sent.values()) {
      if (sent.arrived || !this.pathDelay) {
        sent.dueAt = -Infinity;
        sent.times = 0;
      } else if (sent.times) {
        sent.dueAt = Math.min(sent.dueAt, sent.sentAt + LOST_AFTER_ROUNDS * this.pathDelay);
        sent.times = 1;
      }
      sent.arrived = false;
    }
  }

  /** Make all frames due that have not arrived: those in flight are lost. */
  resendLost(): void {
    for (const sent of this.sent.values()) {
      if (sent.arrived) continue;
      sent.dueAt = -Infinity;
      sent.times = 0;
    }
  }

  /** Send nothing before `until`: the holder is busy. */
  hold(until: number): void {
    this.heldUntil = Math.max(this.heldUntil, until);
  }

  /** Return the frames to send now, lowest number first, within pace and window. They count as sent. */
  due(now: number): InputFrame[] {
    const frames: InputFrame[] = [];
    if (now < this.heldUntil) return frames;
    let room = this.room();
    this.probe();
    for (const sent of this.sent.values()) {
      if (sent.dueAt > now || !(room || sent.times)) continue;
      if (!this.pace.take(now)) return frames;
      if (!sent.times) {
        room -= 1;
        sent.firstSentAt = now;
      }
      sent.sentAt = now;
      sent.dueAt = now + this.timeout(sent.frame, sent.times);
      sent.times += 1;
      frames.push(sent.frame);
    }
    let taken = 0;
    while (taken < this.unsent.length && room > 0 && this.pace.take(now)) {
      room -= 1;
      const frame = { ...(this.unsent[taken] as InputFrame), seq: this.nextSeq };
      taken += 1;
      const dueAt = now + this.timeout(frame, 0);
      this.sent.set(this.nextSeq, { frame, dueAt, sentAt: now, firstSentAt: now, times: 1, arrived: false });
      this.nextSeq += 1;
      frames.push(frame);
    }
    if (taken) this.unsent = this.unsent.slice(taken);
    return frames;
  }

  /** Milliseconds until `due` may have something; 0 for at once. */
  wakeup(now: number): number {
    const room = this.room();
    this.probe();
    let due = this.unsent.length && room ? now : Infinity;
    for (const sent of this.sent.values()) if (sent.times || room) due = Math.min(due, sent.dueAt);
    if (due === Infinity) return Infinity;
    return Math.max(due - now, this.pace.wait(now), this.heldUntil - now, 0);
  }

  private forget(seq: number): void {
    const sent = this.sent.get(seq);
    if (sent && this.sent.delete(seq)) this.count(sent.frame, -1);
  }

  private hasArrived(sent: Sent, now: number): void {
    if (sent.arrived) return;
    sent.arrived = true;
    if (sent.times === 1) {
      // The last of them counts, because the earlier ones waited for it.
      this.pathDelay = Math.min(Math.max(0, now - sent.sentAt - RECEIVED_DELAY_MS), this.settings.longestTimeout);
    } else if (!sent.times) {
      sent.times = 1; // asked for again, but arrived
      sent.dueAt = now + this.timeout(sent.frame, 0);
    }
    // Kept until its turn is durable, which may take a while.
    if (sent.frame.type === "audio") sent.dueAt = now + this.settings.arrivedTimeout;
  }

  /** Send the lowest number again in its usual time, though it has arrived: the holder may have died. */
  private probe(): void {
    const lowest = this.sent.values().next().value;
    if (!lowest?.arrived) return;
    lowest.dueAt = Math.min(lowest.dueAt, lowest.sentAt + this.timeout(lowest.frame, lowest.times - 1));
  }

  /** Return the number of frames that the window has room for. */
  private room(): number {
    if (this.window === undefined) return this.unacknowledged;
    let inFlight = 0;
    for (const sent of this.sent.values()) if (sent.times > 0 && !sent.arrived) inFlight += 1;
    return Math.max(0, this.window - inFlight);
  }

  private timeout(frame: InputFrame, times: number): number {
    const { audioTimeout, imageTimeout, textTimeout } = this.settings;
    return this.grown(frame.type === "audio" ? audioTimeout : frame.type === "image" ? imageTimeout : textTimeout, times);
  }

  /** Return a timeout that is longer on a slow path, and longer after each sending in vain. */
  grown(first: number, times: number): number {
    const grown = Math.max(first, LOST_AFTER_ROUNDS * this.pathDelay) * this.settings.backoff ** Math.min(Math.max(times, 0), 32);
    return Math.min(grown, this.settings.longestTimeout);
  }

  /** Give up the oldest audio; return false if there is none left. */
  private giveUpOldest(): boolean {
    for (const sent of this.sent.values()) {
      if (sent.frame.type !== "audio" || !sent.frame.audio) continue;
      this.count(sent.frame, -1);
      sent.frame = { ...sent.frame, audio: "" };
      this.count(sent.frame, 1);
      return true;
    }
    const oldest = this.unsent.findIndex((frame) => frame.type === "audio");
    if (oldest < 0) return false;
    this.count(this.unsent[oldest] as InputFrame, -1);
    this.unsent.splice(oldest, 1);
    return true;
  }

  private count(frame: InputFrame, sign: number): void {
    if (frame.type === "audio") this.audioBytes += sign * cost(frame);
    else this.lastingBytes += sign * cost(frame);
  }
}

function cost(frame: InputFrame): number {
  switch (frame.type) {
    case "text":
      return FRAME_OVERHEAD_BYTES + frame.text.length;
    case "audio":
      return FRAME_OVERHEAD_BYTES + frame.audio.length;
    case "image":
      return FRAME_OVERHEAD_BYTES + frame.image.length;
    case "answer":
      return FRAME_OVERHEAD_BYTES + JSON.stringify(frame.responses).length;
  }
}
