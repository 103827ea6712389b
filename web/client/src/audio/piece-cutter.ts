import { Resampler } from "./resampler.js";

/** Seconds of audio in a piece: the size that the protocol recommends. */
const PIECE_SECONDS = 0.1;

/** Cutter of a microphone's samples into PCM16 pieces at the holder's input rate. */
export class PieceCutter {
  private readonly resampler: Resampler;
  private readonly piece: Int16Array;
  private filled = 0;

  constructor(from: number, to: number) {
    this.resampler = new Resampler(from, to);
    this.piece = new Int16Array(Math.round(to * PIECE_SECONDS));
  }

  /** Take samples; return the pieces that they complete. */
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
