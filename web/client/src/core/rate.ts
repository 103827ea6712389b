/** Tolerance of float errors: a token that is short by one must not wake the caller in vain. */
const WHOLE_TOKEN = 1 - 1e-6;

/** Token bucket: `rate` a second, `burst` at once after a pause. Times are arguments, in milliseconds. */
export class TokenBucket {
  private tokens: number;
  private refilledAt = -Infinity;

  constructor(
    private readonly rate: number,
    private readonly burst: number,
  ) {
    this.tokens = burst;
  }

  /** Take a token; return false if there is none. */
  take(now: number): boolean {
    if (this.wait(now) > 0) return false;
    this.tokens -= 1;
    return true;
  }

  /** Milliseconds until there is a token. */
  wait(now: number): number {
    if (now > this.refilledAt) {
      this.tokens = Math.min(this.burst, this.tokens + ((now - this.refilledAt) / 1000) * this.rate);
      this.refilledAt = now;
    }
    return this.tokens >= WHOLE_TOKEN ? 0 : ((1 - this.tokens) / this.rate) * 1000;
  }
}
