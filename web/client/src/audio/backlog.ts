import type { Piece } from "./player.js";

/** Milliseconds of sound that are kept while a browser has suspended the loudspeaker: the newest of them are heard. */
export const BACKLOG_MS = 10_000;

/** Sound that waits for a loudspeaker which a browser has suspended. Bounded: its oldest pieces go. No I/O. */
export class AudioBacklog {
  private pieces: Piece[] = [];
  private lengthMs = 0;

  /** Keep a piece. */
  push(piece: Piece): void {
    this.pieces.push(piece);
    this.lengthMs += durationMs(piece);
    while (this.lengthMs > BACKLOG_MS && this.pieces.length > 1) this.lengthMs -= durationMs(this.pieces.shift() as Piece);
  }

  /** Return what was kept, in order, and keep it no more. */
  take(): Piece[] {
    const { pieces } = this;
    this.pieces = [];
    this.lengthMs = 0;
    return pieces;
  }
}

function durationMs({ pcm, rate }: Piece): number {
  return (pcm.length * 1000) / rate;
}
