import { Resampler } from "./resampler.js";

/** Position in the server's audio: `ms` milliseconds of the frame `seq` of `epoch`. */
export interface PlayedPosition {
  readonly epoch: number;
  readonly seq: number;
  readonly ms: number;
}

/** A frame of audio as it came from the server. */
export interface Piece {
  readonly epoch: number;
  readonly seq: number;
  readonly rate: number;
  readonly pcm: Int16Array;
}

/** A frame in the queue, waiting or being played. */
interface QueuedFrame {
  readonly epoch: number;
  readonly seq: number;
  readonly samples: Float32Array;
}

/** Milliseconds of audio queued before playing begins, so that one late frame makes no hole. */
const LEAD_MS = 80;

/** Milliseconds after which playing begins with less than `LEAD_MS`: an answer may be shorter. */
const MAX_LEAD_WAIT_MS = 120;

/** Milliseconds of the fade when audio stops or runs dry; an abrupt end clicks. */
const FADE_MS = 5;

/** Milliseconds of played spans kept, for the latency to the loudspeaker; wireless ones take up to half of it. */
const LOOK_BACK_MS = 1_000;

/** Milliseconds of audio that wait at most, longer than any answer; beyond it the oldest is dropped. */
const MAX_QUEUE_MS = 300_000;

/** A span of one frame that was passed to the loudspeaker. */
interface PlayedSpan {
  readonly epoch: number;
  readonly seq: number;
  /** Samples of the frame before the span's end. */
  readonly end: number;
  readonly length: number;
  /** The player's clock at the span's end, in samples. */
  readonly at: number;
}

/** Queue of audio frames between the network and the loudspeaker. No I/O. */
export class Player {
  private readonly queue: QueuedFrame[] = [];
  /** Samples of the queue's first frame that were played. */
  private offset = 0;
  private queuedSamples = 0;
  private isPlaying = false;
  /** Samples pulled since the queue stopped being empty. */
  private waitedSamples = 0;
  private fadeOut: Float32Array = new Float32Array(0);
  private resampler: Resampler | undefined;
  /** Samples pulled so far, silence included. */
  private clock = 0;
  /** Spans passed on lately, oldest first. */
  private readonly playedSpans: PlayedSpan[] = [];

  /** `rate`: the loudspeaker's samples a second. */
  constructor(private readonly rate: number) {}

  /**
   * Return the position that is heard now, with `latency` milliseconds from here to the ear; undefined before the first
   * sound.
   */
  heardPosition(latency = 0): PlayedPosition | undefined {
    const now = this.clock - (Math.min(latency, LOOK_BACK_MS) * this.rate) / 1000;
    const span = this.playedSpans.findLast(({ at, length }) => at - length < now);
    if (!span) return undefined;
    const { epoch, seq, end, at } = span;
    return { epoch, seq, ms: Math.round(((end - Math.max(0, at - now)) * 1000) / this.rate) };
  }

  /** Queue a frame; beyond `MAX_QUEUE_MS` the oldest is dropped. */
  push({ epoch, seq, rate, pcm }: Piece): void {
    if (this.resampler?.from !== rate) this.resampler = new Resampler(rate, this.rate);
    const samples = this.resampler.push(Float32Array.from(pcm, (sample) => sample / 32768));
    if (!samples.length) return;
    if (!this.queue.length) this.waitedSamples = 0;
    this.queue.push({ epoch, seq, samples });
    this.queuedSamples += samples.length;
    while (this.queuedSamples > (this.rate * MAX_QUEUE_MS) / 1000 && this.queue.length > 1) this.dropFirst();
  }

  /** Drop the queue and fade out. Returns the position that is heard now, as `heardPosition` does. */
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

  /** Fill a block with the next samples. */
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

  /** Drop the rest of the queue's first frame. */
  private dropFirst(): void {
    this.queuedSamples -= (this.queue.shift() as QueuedFrame).samples.length - this.offset;
    this.offset = 0;
  }

  private get fadeLength(): number {
    return Math.round((this.rate * FADE_MS) / 1000);
  }

  /** Copy the rest of the fade into a block; return the number of samples. */
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
