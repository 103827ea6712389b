// The state of one connection of a conversation, without any I/O: open, or given up. A connection can die without a
// close: a laptop sleeps, a router drops its state. A client that gets no answer sends a ping, and a second one when half
// of the time for the answer is over: the gateway posts a `pong` once and tries no second time (RFC 0019). A connection on
// which nothing answers either is given up.
//
// A connection may need a renewal while it still works: its worker has said `reconnect`, or on a direct connection
// nothing confirms what was sent. The next one is then opened beside it (RFC 0026).
import type { ClientSettings } from "./settings.js";

/** One connection. */
export class Link {
  /** True if the connection was given up. */
  lost = false;
  /** True if it leads to a worker itself, as its `ready` said. */
  direct = false;
  /** True if it takes binary messages, as its `ready` said. */
  binary = false;
  /** The time of the latest frame that was more than a `pong`; at first, of the opening. */
  toldAt: number;
  /** True if it needs a renewal because nothing confirms what was sent over it. */
  silent = false;
  /** The time of the oldest ping behind a hello since which nothing has come. */
  askedSince: number | undefined;
  private unansweredSince: number | undefined;
  private renewed = false;
  private renewAt = Infinity;
  private pingedAt: number | undefined;
  private askedTwice = false;
  private pingRequested = false;
  private pingSentAt: number | undefined;

  constructor(
    readonly number: number,
    private readonly settings: ClientSettings,
    private spokeAt: number,
  ) {
    this.toldAt = spokeAt;
  }

  /** Note what the connection's `ready` says of it. */
  greeted(features: readonly string[]): void {
    this.direct = features.includes("direct");
    this.binary = features.includes("binary");
  }

  /** Have the next connection opened beside this one at a time; the earliest counts. */
  renew(at: number): void {
    this.renewAt = Math.min(this.renewAt, at);
  }

  /** Tell, once, whether the next connection is to be opened now. At `silentAt` the holder is silent for too long. */
  wantsRenewal(now: number, silentAt: number): boolean {
    if (this.renewalWait(now, silentAt) > 0) return false;
    this.renewed = true;
    this.silent = silentAt <= now;
    return true;
  }

  /** Milliseconds until `wantsRenewal` may be true. */
  renewalWait(now: number, silentAt: number): number {
    return this.renewed ? Infinity : Math.min(this.renewAt, silentAt) - now;
  }

  /** A message came: the server is there. */
  heard(): void {
    this.unansweredSince = this.askedSince = this.pingedAt = undefined;
    this.askedTwice = false;
  }

  /** A frame was sent. */
  spoke(now: number): void {
    this.spokeAt = now;
    this.unansweredSince ??= now;
  }

  /** Have a ping go as soon as it can: the network has changed, or the computer was asleep. */
  requestPing(): void {
    this.pingRequested ||= this.pingedAt === undefined;
  }

  /** A ping goes with a hello: a worker that lives answers it at once. */
  asks(now: number): void {
    this.pingSentAt ??= now;
    this.askedSince ??= now;
  }

  /** An answer to a ping came; returns the milliseconds that it took. */
  answered(now: number): number | undefined {
    const took = this.pingSentAt === undefined ? undefined : now - this.pingSentAt;
    this.pingSentAt = undefined;
    return took;
  }

  /** Tell whether to send a ping now; it counts as sent. */
  ping(now: number, expecting: boolean): boolean {
    if (this.pingAt(expecting) > now) return false;
    if (this.pingedAt === undefined) this.pingedAt = now;
    else this.askedTwice = true;
    this.pingSentAt = now;
    this.pingRequested = false;
    return true;
  }

  /** Give the connection up if it was silent for too long after a ping. */
  tick(now: number): void {
    if (this.pingedAt !== undefined && this.pingedAt + this.settings.pongTimeout <= now) this.lost = true;
  }

  /** Milliseconds until `ping` or `tick` may have something to do. */
  wakeup(now: number, expecting: boolean): number {
    const lostAt = this.pingedAt === undefined ? Infinity : this.pingedAt + this.settings.pongTimeout;
    return Math.min(this.pingAt(expecting), lostAt) - now;
  }

  private pingAt(expecting: boolean): number {
    if (this.askedTwice) return Infinity;
    if (this.pingedAt !== undefined) return this.pingedAt + this.settings.pongTimeout / 2;
    if (this.pingRequested) return -Infinity;
    const keeping = this.spokeAt + this.settings.pingInterval;
    if (!expecting || this.unansweredSince === undefined) return keeping;
    return Math.min(keeping, this.unansweredSince + this.settings.silenceTimeout);
  }
}

/** A conversation's connections: the current one, which input goes over, and the one that is to replace it. */
export class Links {
  current: Link | undefined;
  /** Opened beside `current`; undefined most of the time. */
  renewal: Link | undefined;

  /** The one that hello goes over. */
  get newest(): Link | undefined {
    return this.renewal ?? this.current;
  }

  /** A connection by its number; undefined if it is gone or was replaced. */
  find(number: number): Link | undefined {
    return [this.current, this.renewal].find((link) => link?.number === number);
  }

  /** The renewal takes over. */
  promote(): void {
    this.current = this.renewal;
    this.renewal = undefined;
  }

  /** A connection is gone. True if it was the current one; its renewal takes over, if there is one. */
  remove(number: number): boolean {
    if (this.renewal?.number === number) this.renewal = undefined;
    else if (this.current?.number === number) {
      this.promote();
      return true;
    }
    return false;
  }

  each(visit: (link: Link) => void): void {
    for (const link of [this.current, this.renewal]) if (link) visit(link);
  }
}
