import { Resampler } from "./resampler.js";

/** Where in the server's audio the player is: `ms` milliseconds of the frame `seq` of `epoch`. */
export interface PlayedPosition {
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
interface QueuedFrame {
  readonly epoch: number;
  readonly seq: number;
  readonly samples: Float32Array;
}

/** Milliseconds of sound that are waited for before playing begins, so that one late frame makes no hole. */
const LEAD_MS = 80;

/** Milliseconds after which it begins with less: an answer may be shorter than the lead. */
const MAX_LEAD_WAIT_MS = 120;

/** Milliseconds in which sound that is stopped, or has run dry, fades: without that it clicks. */
const FADE_MS = 5;

/** Milliseconds between this player and the loudspeaker that can be looked back on; wireless ones have up to half of it. */
const LOOK_BACK_MS = 1_000;

/** Milliseconds of sound that wait at most: no answer is as long. The oldest of what is beyond is not heard. */
const MAX_QUEUE_MS = 300_000;

/** A stretch of one frame that was handed to the loudspeaker. */
interface PlayedSpan {
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
  private readonly queue: QueuedFrame[] = [];
  /** Samples played of the first of the queue. */
  private offset = 0;
  private queuedSamples = 0;
  private isPlaying = false;
  /** Samples since something began to wait. */
  private waitedSamples = 0;
  private fadeOut: Float32Array = new Float32Array(0);
  private resampler: Resampler | undefined;
  /** Samples that were pulled so far, silence included. */
  private clock = 0;
  /** What was handed over lately, oldest first. */
  private readonly playedSpans: PlayedSpan[] = [];

  /** `rate`: samples a second of the loudspeaker. */
  constructor(private readonly rate: number) {}

  /**
   * The place that is heard now, when sound takes `latency` milliseconds from here to the ear; undefined if nothing was
   * heard yet.
   */
  heardPosition(latency = 0): PlayedPosition | undefined {
    const now = this.clock - (Math.min(latency, LOOK_BACK_MS) * this.rate) / 1000;
    const span = this.playedSpans.findLast(({ at, length }) => at - length < now);
    if (!span) return undefined;
    const { epoch, seq, end, at } = span;
    return { epoch, seq, ms: Math.round(((end - Math.max(0, at - now)) * 1000) / this.rate) };
  }

  /** Take a frame. */
  push({ epoch, seq, rate, pcm }: Piece): void {
    if (this.resampler?.from !== rate) this.resampler = new Resampler(rate, this.rate);
    const samples = this.resampler.push(Float32Array.from(pcm, (sample) => sample / 32768));
    if (!samples.length) return;
    if (!this.queue.length) this.waitedSamples = 0;
    this.queue.push({ epoch, seq, samples });
    this.queuedSamples += samples.length;
    while (this.queuedSamples > (this.rate * MAX_QUEUE_MS) / 1000 && this.queue.length > 1) this.dropFirst();
  }

  /** Drop all that waits, and fall silent. Returns the place that is heard now. */
  stop(latency = 0): PlayedPosition | undefined {
    const first = this.queue[0];
    const length = this.fadeLength;
    this.fadeOut =
      this.isPlaying && first
        ? first.samples.slice(this.offset, this.offset + length).map((sample, index) => sample * (1 - index / length))
        : this.fadeOut;
    this.queue.length = 0;
    this.offset = 0;
    this.queuedSamples = 0;
    this.isPlaying = false;
    this.resampler = undefined;
    return this.heardPosition(latency);
  }

  /** Fill a block with what is to be heard now. */
  pull(block: Float32Array): void {
    block.fill(0);
    const blockStart = this.clock;
    this.clock += block.length;
    let filled = this.copyFadeOut(block, 0);
    if (!this.isPlaying && !this.startWhenReady(block.length)) return;
    while (filled < block.length && this.queue.length) filled += this.copyFirst(block, filled, blockStart);
    if (this.queue.length) return;
    this.isPlaying = false; // it has run dry: wait for a lead again
    const last = block[filled - 1] ?? 0;
    this.fadeOut = new Float32Array(this.fadeLength).map((_, index) => last * (1 - (index + 1) / this.fadeLength));
    this.copyFadeOut(block, filled);
  }

  /** Give up the rest of the first of the queue. */
  private dropFirst(): void {
    this.queuedSamples -= (this.queue.shift() as QueuedFrame).samples.length - this.offset;
    this.offset = 0;
  }

  private get fadeLength(): number {
    return Math.round((this.rate * FADE_MS) / 1000);
  }

  /** Put what fades into a block; returns the samples. */
  private copyFadeOut(block: Float32Array, filled: number): number {
    if (!this.fadeOut.length) return 0;
    const part = this.fadeOut.subarray(0, block.length - filled);
    block.set(part, filled);
    this.fadeOut = this.fadeOut.slice(part.length);
    return part.length;
  }

  private startWhenReady(length: number): boolean {
    if (!this.queue.length) return false;
    this.waitedSamples += length;
    const ready = this.queuedSamples >= (this.rate * LEAD_MS) / 1000 || this.waitedSamples >= (this.rate * MAX_LEAD_WAIT_MS) / 1000;
    this.isPlaying = ready;
    return ready;
  }

  private copyFirst(block: Float32Array, filled: number, blockStart: number): number {
    const { epoch, seq, samples } = this.queue[0] as QueuedFrame;
    const part = samples.subarray(this.offset, this.offset + block.length - filled);
    block.set(part, filled);
    this.offset += part.length;
    this.queuedSamples -= part.length;
    this.playedSpans.push({ epoch, seq, end: this.offset, length: part.length, at: blockStart + filled + part.length });
    const oldest = this.clock - (LOOK_BACK_MS * this.rate) / 1000;
    while (this.playedSpans.length > 1 && (this.playedSpans[1] as PlayedSpan).at < oldest) this.playedSpans.shift();
    if (this.offset >= samples.length) {
      this.queue.shift();
      this.offset = 0;
    }
    return part.length;
  }
}
