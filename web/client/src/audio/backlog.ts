import type { Piece } from "./player.js";

/** Milliseconds of audio kept while the browser suspends the loudspeaker; beyond it the oldest goes. */
export const BACKLOG_MS = 10_000;

/** Audio that waits for a suspended loudspeaker, bounded by `BACKLOG_MS`. No I/O. */
export class AudioBacklog {
  private pieces: Piece[] = [];
  private lengthMs = 0;

  /** Keep a piece; drop the oldest beyond `BACKLOG_MS`. */
  push(piece: Piece): void {
    this.pieces.push(piece);
    this.lengthMs += durationMs(piece);
    while (this.lengthMs > BACKLOG_MS && this.pieces.length > 1) this.lengthMs -= durationMs(this.pieces.shift() as Piece);
  }

  /** Return the kept pieces in order, and forget them. */
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
