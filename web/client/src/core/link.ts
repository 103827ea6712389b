// The state of one connection of a conversation, without any I/O: open, or given up. A connection can die without a
// close: a laptop sleeps, a router drops its state. A client without an answer sends a ping, and after half of the time
// for its answer a second one, because the gateway posts a `pong` only once (RFC 0019). A connection that answers neither
// is given up.
//
// A connection may need a renewal while it still works: its worker has said `reconnect`, or a direct connection does not
// confirm input. The next connection is then opened beside it (RFC 0026).
import type { ClientSettings } from "./settings.js";

/** State of one connection. */
export class Link {
  /** True if the connection was given up. */
  lost = false;
  /** True if it leads to a worker directly, as its `ready` said. */
  direct = false;
  /** True if it takes binary messages, as its `ready` said. */
  binary = false;
  /** Time of the latest frame other than `pong`; at first, of the opening. */
  toldAt: number;
  /** True if it needs a renewal because it does not confirm input. */
  silent = false;
  /** Time of the oldest ping behind a hello that has had no answer. */
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

  /** Note the features in the connection's `ready`. */
  greeted(features: readonly string[]): void {
    this.direct = features.includes("direct");
    this.binary = features.includes("binary");
  }

  /** Make the renewal due at a time; the earliest counts. */
  renew(at: number): void {
    this.renewAt = Math.min(this.renewAt, at);
  }

  /**
   * Tell, once, whether the renewal is to be opened now. `silentAt`: the time at which the holder is silent for too
   * long.
   */
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

  /** Note that a message came: the server is alive. */
  heard(): void {
    this.unansweredSince = this.askedSince = this.pingedAt = undefined;
    this.askedTwice = false;
  }

  /** Note that a frame was sent. */
  spoke(now: number): void {
    this.spokeAt = now;
    this.unansweredSince ??= now;
  }

  /** Send a ping as soon as possible: the network has changed, or the computer was asleep. */
  requestPing(): void {
    this.pingRequested ||= this.pingedAt === undefined;
  }

  /** Note a ping behind a hello: a live worker answers it at once. */
  asks(now: number): void {
    this.pingSentAt ??= now;
    this.askedSince ??= now;
  }

  /** Note the answer to a ping; return its milliseconds, or undefined without a ping. */
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

/** Connections of a conversation: the current one, which carries input, and its renewal. */
export class Links {
  current: Link | undefined;
  /** The renewal, opened beside `current`; mostly undefined. */
  renewal: Link | undefined;

  /** The connection that carries hello. */
  get newest(): Link | undefined {
    return this.renewal ?? this.current;
  }

  /** Return a connection by its number; undefined if it has ended or was replaced. */
  find(number: number): Link | undefined {
    return [this.current, this.renewal].find((link) => link?.number === number);
  }

  /** Make the renewal the current connection. */
  promote(): void {
    this.current = this.renewal;
    this.renewal = undefined;
  }

  /** Remove a connection. Returns true if it was the current one; its renewal then takes over. */
  remove(number: number): boolean {
    if (this.renewal?.number === number) this.renewal = undefined;
    else if (this.current?.number === number) {
      this.promote();
      return true;
    }
    return false;
  }

  /** Call a function with each connection. */
  each(visit: (link: Link) => void): void {
    for (const link of [this.current, this.renewal]) if (link) visit(link);
  }
}
