// Pauses between attempts to connect: doubled each time, with full jitter, because thousands of clients may have lost
// the same server. A worker that ends or is full closes with a code; another may have room, so the first attempts after
// that have no pause (RFC 0026).
import type { ClientSettings } from "./settings.js";

/**
 * WebSocket close codes of a worker that ends (1012, service restart), and of a full or ending one (1013, try again
 * later).
 */
const RETRY_AT_ONCE_CODES: ReadonlySet<number | undefined> = new Set([1012, 1013]);
/** Attempts in a row without a pause at most: all workers may be full. */
const MAX_AT_ONCE = 2;

/** Attempts since the last `ready`. */
export class Retries {
  private attempt = 0;
  private atOnce = 0;

  constructor(
    private readonly settings: ClientSettings,
    private readonly random: () => number,
  ) {}

  /** Start the pauses anew: a holder has said `ready`. */
  succeeded(): void {
    this.attempt = this.atOnce = 0;
  }

  /** Milliseconds until the next attempt, after a connection that closed with this code. */
  pause(closeCode: number | undefined): number {
    if (RETRY_AT_ONCE_CODES.has(closeCode) && this.atOnce < MAX_AT_ONCE) {
      this.atOnce += 1;
      return 0;
    }
    const longest = Math.min(this.settings.firstBackoff * 2 ** Math.min(this.attempt, 16), this.settings.longestBackoff);
    this.attempt += 1;
    return this.random() * longest;
  }
}
