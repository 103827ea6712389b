import type { ClientSettings } from "./settings.js";

/** Paces hellos: at once, then repeated until one is answered, and never too soon after the last one. */
export class HelloTimer {
  private saidAt = -Infinity;
  private at = 0;
  private pause: number;

  constructor(private readonly settings: ClientSettings) {
    this.pause = settings.helloInterval;
  }

  /** Make the first of several hellos due at a time. */
  restart(at: number): void {
    this.at = Math.max(at, this.saidAt + this.settings.shortestHelloInterval);
    this.pause = this.settings.helloInterval;
  }

  /** A new connection: the last hello went over another. */
  forget(): void {
    this.saidAt = -Infinity;
  }

  /** Take the longest pause: no worker has room for the session. */
  slowDown(now: number): void {
    this.pause = this.settings.longestHelloInterval;
    this.at = now + this.pause;
  }

  /** One was said: the next comes after a growing pause. */
  said(now: number): void {
    this.saidAt = now;
    this.at = now + this.pause;
    this.pause = Math.min(this.pause * 1.5, this.settings.longestHelloInterval);
  }

  /** Milliseconds until the next one is due; not positive if it is. */
  wait(now: number): number {
    return this.at - now;
  }
}
