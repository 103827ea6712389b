// Pauses between attempts to connect. With full jitter, doubled each time: thousands of clients may have lost the same
// server. A worker that ends or is full says so as it closes; another one may have room, so the first attempts after that
// are made at once (RFC 0026).
import type { ClientSettings } from "./settings.js";

/** WebSocket close codes of a worker that ends (service restart), and of one that is full or ends soon (try again later). */
const RETRY_AT_ONCE_CODES: ReadonlySet<number | undefined> = new Set([1012, 1013]);
/** Attempts in a row without a pause; all workers may be full. */
const MAX_AT_ONCE = 2;

/** Attempts since a holder last said `ready`. */
export class Retries {
  private attempt = 0;
  private atOnce = 0;

  constructor(
    private readonly settings: ClientSettings,
    private readonly random: () => number,
  ) {}

  /** A holder has said `ready`: the next failure is the first. */
  succeeded(): void {
    this.attempt = this.atOnce = 0;
  }

  /** Milliseconds until the next attempt, after a connection that was closed with a code. */
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
