import type { Piece } from "./player.js";

/** Milliseconds of sound that are kept while a browser has suspended the loudspeaker: the newest of them are heard. */
export const HELD_MS = 10_000;

/** Sound that waits for a loudspeaker which a browser has suspended. Bounded: its oldest pieces go. No I/O. */
export class HeldSound {
  private pieces: Piece[] = [];
  private length = 0;

  /** Keep a piece. */
  push(piece: Piece): void {
    this.pieces.push(piece);
    this.length += milliseconds(piece);
    while (this.length > HELD_MS && this.pieces.length > 1) this.length -= milliseconds(this.pieces.shift() as Piece);
  }

  /** Return what was kept, in order, and keep it no more. */
  take(): Piece[] {
    const { pieces } = this;
    this.pieces = [];
    this.length = 0;
    return pieces;
  }
}

function milliseconds({ pcm, rate }: Piece): number {
  return (pcm.length * 1000) / rate;
}
