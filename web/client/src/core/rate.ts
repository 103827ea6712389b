/** Refilling adds floats: one that is short by a rounding error must not make the caller wake up in vain. */
const WHOLE_TOKEN = 1 - 1e-6;

/** A pace: `rate` a second, `burst` at once after a pause. Time is an argument, in milliseconds. */
export class TokenBucket {
  private tokens: number;
  private refilledAt = -Infinity;

  constructor(
    private readonly rate: number,
    private readonly burst: number,
  ) {
    this.tokens = burst;
  }

  /** Take one, if there is one. */
  take(now: number): boolean {
    if (this.wait(now) > 0) return false;
    this.tokens -= 1;
    return true;
  }

  /** Milliseconds until there is one. */
  wait(now: number): number {
    if (now > this.refilledAt) {
      this.tokens = Math.min(this.burst, this.tokens + ((now - this.refilledAt) / 1000) * this.rate);
      this.refilledAt = now;
    }
    return this.tokens >= WHOLE_TOKEN ? 0 : ((1 - this.tokens) / this.rate) * 1000;
  }
}
