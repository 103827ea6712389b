// Input numbering: what is not acknowledged is kept and sent again. The model is segue.wire.sender in Python.
//
//     add ─▶ unsent ──due──▶ sent, with a number ──ack──▶ forgotten
//               │                │  ▲ timeout, missing, new holder, resume
//               │                ▼  │
//               │               due again
//               └ audio, too much of it: the oldest goes. Unsent, it never had a number; sent, its number stays, empty,
//                 because the other end waits for it
//
// Time is an argument everywhere: milliseconds on the caller's own monotonic clock.
import { SenderFull } from "../errors.js";
import type { InputFrame } from "./frames.js";
import { TokenBucket } from "./rate.js";
import type { ClientSettings } from "./settings.js";

/** Of a frame beside its content, roughly; it counts against the capacity. */
const FRAME_OVERHEAD_BYTES = 200;
/** After its sending a frame that the holder misses may be in flight for so long, and is not sent again. */
const RESEND_PATIENCE_MS = 1_000;
/** A holder may take so long to tell what it has received. */
const RECEIVED_DELAY_MS = 1_000;
/** A frame is lost if it has not arrived after this many times the round trip of others. */
const LOST_AFTER_ROUNDS = 2;

interface Sent {
  frame: InputFrame;
  dueAt: number;
  sentAt: number;
  /** The first sending, or the first since everything was asked for again. */
  firstSentAt: number;
  /** The number of sendings since the first, or since everything was asked for again. */
  times: number;
  arrived: boolean;
}

/** Numbers a client's input and keeps it until it is durable. */
export class Sender {
  /** The number of pieces of audio that were dropped because too much was unacknowledged. */
  givenUp = 0;
  /** The number of frames that may be on their way; undefined for any number. */
  window: number | undefined;
  private readonly pace: TokenBucket;
  private nextSeq = 1;
  private unsent: InputFrame[] = [];
  private readonly sent = new Map<number, Sent>(); // in order of seq: they are only ever added at the end
  private audioBytes = 0;
  private lastingBytes = 0;
  private pathDelay = 0; // that the path took lately, beyond what the holder takes to say so
  private heldUntil = -Infinity;

  constructor(private readonly settings: ClientSettings) {
    this.pace = new TokenBucket(settings.rate, settings.burst);
  }

  /** The number of frames that are kept. */
  get unacknowledged(): number {
    return this.unsent.length + this.sent.size;
  }

  /** The time of the oldest sending that the holder has not confirmed with `received`; Infinity if it has all. */
  get unheardSince(): number {
    let since = Infinity;
    for (const sent of this.sent.values()) if (sent.times > 0 && !sent.arrived) since = Math.min(since, sent.firstSentAt);
    return since;
  }

  /** Keep frames; `due` gives each its number. Returns how many older pieces of audio were given up for it. */
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
   * Forget what is durable; harmless if repeated or late. What is still missing is waited for anew: it is on its way,
   * behind what has just arrived (RFC 6298 restarts its timer likewise).
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

  /** Note what the holder has received, which tells what it misses as well; harmless if repeated or late. */
  arrived(upto: number, beyond: readonly number[], now: number): void {
    const present = new Set(beyond);
    let highest = beyond.length ? 0 : upto;
    for (const seq of beyond) highest = Math.max(highest, seq);
    for (const [seq, sent] of this.sent) {
      if (seq <= upto || present.has(seq)) {
        this.hasArrived(sent, now);
      } else if (seq < highest && sent.sentAt + this.grown(RESEND_PATIENCE_MS, sent.times - 1) <= now) {
        sent.dueAt = Math.min(sent.dueAt, now);
        // All the others wait for it: it does not wait for room.
        if (seq === upto + 1) sent.times = Math.max(sent.times, 1);
      }
    }
  }

  /** Make everything unacknowledged due: a new holder has none of it, but for what may still be on its way. */
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

  /** Make everything due that has not arrived: what was on its way is lost. */
  resendLost(): void {
    for (const sent of this.sent.values()) {
      if (sent.arrived) continue;
      sent.dueAt = -Infinity;
      sent.times = 0;
    }
  }

  /** Send nothing before `until`: the other end is busy. */
  hold(until: number): void {
    this.heldUntil = Math.max(this.heldUntil, until);
  }

  /** Frames to send now, lowest number first, no more than pace and window allow. They count as sent. */
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

  /** Milliseconds until `due` may have something, 0 for at once. */
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
      // The last of them counts: those before it waited for it.
      this.pathDelay = Math.min(Math.max(0, now - sent.sentAt - RECEIVED_DELAY_MS), this.settings.longestTimeout);
    } else if (!sent.times) {
      sent.times = 1; // asked for again, but it is there
      sent.dueAt = now + this.timeout(sent.frame, 0);
    }
    // Audio is kept until its turn is durable, which may take a while.
    if (sent.frame.type === "audio") sent.dueAt = now + this.settings.arrivedTimeout;
  }

  /** Let the lowest number be sent again in its usual time, though it has arrived: the holder may have died. */
  private probe(): void {
    const lowest = this.sent.values().next().value;
    if (!lowest?.arrived) return;
    lowest.dueAt = Math.min(lowest.dueAt, lowest.sentAt + this.timeout(lowest.frame, lowest.times - 1));
  }

  /** Return how many more frames may be in flight. */
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

  /** A time that is longer on a slow path, and longer each time that it has passed in vain. */
  grown(first: number, times: number): number {
    const grown = Math.max(first, LOST_AFTER_ROUNDS * this.pathDelay) * this.settings.backoff ** Math.min(Math.max(times, 0), 32);
    return Math.min(grown, this.settings.longestTimeout);
  }

  /** Give up the oldest audio; false if there is none that can be. */
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
