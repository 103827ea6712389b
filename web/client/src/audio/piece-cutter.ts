import { Resampler } from "./resampler.js";

/** Seconds of sound in a piece: what the protocol calls a good size. */
const PIECE_SECONDS = 0.1;

/** Cuts what a microphone gives into pieces of PCM16 at the rate that the holder wants. */
export class PieceCutter {
  private readonly resampler: Resampler;
  private readonly piece: Int16Array;
  private filled = 0;

  constructor(from: number, to: number) {
    this.resampler = new Resampler(from, to);
    this.piece = new Int16Array(Math.round(to * PIECE_SECONDS));
  }

  /** Take samples, and return the pieces that they complete. */
  push(samples: Float32Array): Int16Array[] {
    const complete: Int16Array[] = [];
    for (const sample of this.resampler.push(samples)) {
      this.piece[this.filled] = Math.max(-32768, Math.min(32767, Math.round(sample * 32767)));
      this.filled += 1;
      if (this.filled < this.piece.length) continue;
      complete.push(this.piece.slice());
      this.filled = 0;
    }
    return complete;
  }
}
