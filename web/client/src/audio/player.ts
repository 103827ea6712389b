import { Resampler } from "./resampler.js";

/** Where in the server's audio the player is: `ms` milliseconds of the frame `seq` of `epoch`. */
export interface Place {
  readonly epoch: number;
  readonly seq: number;
  readonly ms: number;
}

/** A frame of audio as it came. */
export interface Piece {
  readonly epoch: number;
  readonly seq: number;
  readonly rate: number;
  readonly pcm: Int16Array;
}

/** A frame that waits, or is being played. */
interface Waiting {
  readonly epoch: number;
  readonly seq: number;
  readonly samples: Float32Array;
}

/** Milliseconds of sound that are waited for before playing begins, so that one late frame makes no hole. */
const LEAD_MS = 80;

/** Milliseconds after which it begins with less: an answer may be shorter than the lead. */
const PATIENCE_MS = 120;

/** Milliseconds in which sound that is stopped, or has run dry, fades: without that it clicks. */
const FADE_MS = 5;

/** Milliseconds between this player and the loudspeaker that can be looked back on; wireless ones have up to half of it. */
const LOOK_BACK_MS = 1_000;

/** Milliseconds of sound that wait at most: no answer is as long. The oldest of what is beyond is not heard. */
const LONGEST_MS = 300_000;

/** A stretch of one frame that was handed to the loudspeaker. */
interface Stretch {
  readonly epoch: number;
  readonly seq: number;
  /** Samples of the frame up to its end. */
  readonly end: number;
  readonly length: number;
  /** The player's clock at its end. */
  readonly at: number;
}

/** Plays frames one after the other: a queue of sound between the network and the loudspeaker. No I/O. */
export class Player {
  private readonly queue: Waiting[] = [];
  /** Samples played of the first of the queue. */
  private offset = 0;
  private waiting = 0;
  private playing = false;
  /** Samples since something began to wait. */
  private waited = 0;
  private fading: Float32Array = new Float32Array(0);
  private resampler: Resampler | undefined;
  /** Samples that were pulled so far, silence included. */
  private clock = 0;
  /** What was handed over lately, oldest first. */
  private readonly trail: Stretch[] = [];

  /** `rate`: samples a second of the loudspeaker. */
  constructor(private readonly rate: number) {}

  /**
   * The place that is heard now, when sound takes `latency` milliseconds from here to the ear; undefined if nothing was
   * heard yet.
   */
  heard(latency = 0): Place | undefined {
    const now = this.clock - (Math.min(latency, LOOK_BACK_MS) * this.rate) / 1000;
    const stretch = this.trail.findLast(({ at, length }) => at - length < now);
    if (!stretch) return undefined;
    const { epoch, seq, end, at } = stretch;
    return { epoch, seq, ms: Math.round(((end - Math.max(0, at - now)) * 1000) / this.rate) };
  }

  /** Take a frame. */
  push({ epoch, seq, rate, pcm }: Piece): void {
    if (this.resampler?.from !== rate) this.resampler = new Resampler(rate, this.rate);
    const samples = this.resampler.push(Float32Array.from(pcm, (sample) => sample / 32768));
    if (!samples.length) return;
    if (!this.queue.length) this.waited = 0;
    this.queue.push({ epoch, seq, samples });
    this.waiting += samples.length;
    while (this.waiting > (this.rate * LONGEST_MS) / 1000 && this.queue.length > 1) this.skip();
  }

  /** Drop all that waits, and fall silent. Returns the place that is heard now. */
  stop(latency = 0): Place | undefined {
    const first = this.queue[0];
    const length = this.fadeLength;
    this.fading =
      this.playing && first
        ? first.samples.slice(this.offset, this.offset + length).map((sample, index) => sample * (1 - index / length))
        : this.fading;
    this.queue.length = 0;
    this.offset = 0;
    this.waiting = 0;
    this.playing = false;
    this.resampler = undefined;
    return this.heard(latency);
  }

  /** Fill a block with what is to be heard now. */
  pull(block: Float32Array): void {
    block.fill(0);
    const began = this.clock;
    this.clock += block.length;
    let filled = this.fade(block, 0);
    if (!this.playing && !this.begins(block.length)) return;
    while (filled < block.length && this.queue.length) filled += this.take(block, filled, began);
    if (this.queue.length) return;
    this.playing = false; // it has run dry: wait for a lead again
    const last = block[filled - 1] ?? 0;
    this.fading = new Float32Array(this.fadeLength).map((_, index) => last * (1 - (index + 1) / this.fadeLength));
    this.fade(block, filled);
  }

  /** Give up the rest of the first of the queue. */
  private skip(): void {
    this.waiting -= (this.queue.shift() as Waiting).samples.length - this.offset;
    this.offset = 0;
  }

  private get fadeLength(): number {
    return Math.round((this.rate * FADE_MS) / 1000);
  }

  /** Put what fades into a block; returns the samples. */
  private fade(block: Float32Array, filled: number): number {
    if (!this.fading.length) return 0;
    const some = this.fading.subarray(0, block.length - filled);
    block.set(some, filled);
    this.fading = this.fading.slice(some.length);
    return some.length;
  }

  private begins(length: number): boolean {
    if (!this.queue.length) return false;
    this.waited += length;
    const enough = this.waiting >= (this.rate * LEAD_MS) / 1000 || this.waited >= (this.rate * PATIENCE_MS) / 1000;
    this.playing = enough;
    return enough;
  }

  private take(block: Float32Array, filled: number, began: number): number {
    const { epoch, seq, samples } = this.queue[0] as Waiting;
    const some = samples.subarray(this.offset, this.offset + block.length - filled);
    block.set(some, filled);
    this.offset += some.length;
    this.waiting -= some.length;
    this.trail.push({ epoch, seq, end: this.offset, length: some.length, at: began + filled + some.length });
    const oldest = this.clock - (LOOK_BACK_MS * this.rate) / 1000;
    while (this.trail.length > 1 && (this.trail[1] as Stretch).at < oldest) this.trail.shift();
    if (this.offset >= samples.length) {
      this.queue.shift();
      this.offset = 0;
    }
    return some.length;
  }
}
