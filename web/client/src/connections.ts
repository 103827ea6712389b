// Keeps a conversation connected: connects, connects again when a connection breaks, and before it is ended.
//
// ── connection 1 ───────────────────────────────┐ ready on 2: closed
//                               ┌── hello ─ ready ┴─ connection 2 ───── … ✕   ┌── connection 3
//      lifetime, reconnect, silence                                       pause┘
//
// ── connection 1 ───────────────────────────── ✕  1012: its worker has ended, and no connection is left
//                  ┌ 1013  ┌ 1013  ┌ 1013         ┌── connection 5: at once, whatever was left of the pause
//         reconnect┘ at once┘ at once┘    pause of a renewal…
import type { Core } from "./core/core.js";
import type { ClientSettings } from "./core/settings.js";
import type { TokenSupply } from "./credentials.js";
import { subprotocols } from "./credentials.js";
import type { Change, Environment, SocketConstructor, SocketLike } from "./environment.js";
import { socketConstructor } from "./environment.js";
import { ConnectionLost, HandshakeRefused } from "./errors.js";
import type { Ear } from "./websocket.js";
import { Retries } from "./core/retries.js";
import { Talk } from "./websocket.js";

/** Statuses of a handshake that mean the caller or the address. Browsers tell none; the package `ws` does. */
const REFUSED: ReadonlySet<number> = new Set([400, 401, 403, 404, 405, 410]);
/** Handshakes in a row that may be refused once a first was not: a deployment is over by then. */
const REFUSALS = 3;
/** No attempt and the pause after it take longer than this by themselves; a longer time was slept through. */
const LONGEST_ATTEMPT = 30_000;
/** The clocks are compared so often, in milliseconds. */
const WATCH_INTERVAL = 15_000;
/** A timer that is later than this was asleep with its computer; a tab in the background has its turn every minute. */
const ASLEEP = 75_000;

/** The connections of one conversation. */
export class Connections {
  /** The reason why the last attempt failed, or the last connection broke. */
  lastError: string | undefined;
  private readonly talks = new Set<Talk>();
  private refusals = 0;
  /** Handshakes in a row that nothing answered in time. */
  private unanswered = 0;
  private ending = false;
  private readonly retries: Retries;
  /** The same beside a connection that works: of no weight once that one has ended. */
  private readonly renewalRetries: Retries;
  /** Close code of the connection that ended last. */
  private closeCode: number | undefined;
  /** True if the last connection has ended since the pause began. */
  private cutOff = false;
  /** Milliseconds without a connection so far. */
  private down = 0;
  private interrupt = (): void => undefined;

  constructor(
    private readonly url: string,
    private readonly token: TokenSupply | undefined,
    private readonly given: SocketConstructor | undefined,
    private readonly core: Core,
    private readonly settings: ClientSettings,
    private readonly environment: Environment,
    private readonly ear: Ear,
  ) {
    this.retries = new Retries(settings, () => environment.random());
    this.renewalRetries = new Retries(settings, () => environment.random());
  }

  /** There may be something to send. */
  wake(): void {
    for (const talk of this.talks) talk.wake();
  }

  /** Say good-bye and end. */
  end(): void {
    this.ending = true;
    for (const talk of this.talks) talk.leave();
    this.interrupt();
  }

  /** Stay connected until `end`. Rejects with what ends the client. */
  async run(): Promise<void> {
    const unwatch = this.environment.watch((change) => {
      this.changed(change);
    });
    const unwatchSleep = this.watchSleep();
    try {
      await this.stayConnected();
    } finally {
      unwatch();
      unwatchSleep();
      for (const talk of this.talks) talk.leave();
      await Promise.all([...this.talks].map((talk) => talk.over));
    }
  }

  private async stayConnected(): Promise<void> {
    const { environment } = this;
    let since = environment.now();
    while (!this.ending) {
      const before = this.core.lastReady;
      this.closeCode = undefined;
      const talk = await this.open();
      const renewing = talk !== undefined && (await this.untilItIsOld(talk));
      const welcome = this.core.lastReady !== before;
      if (welcome) this.begin();
      if (renewing) continue; // it works, but needs a renewal: the next opens beside it
      if (this.core.failure) throw this.core.failure;
      if (welcome || this.core.greeted || !environment.online()) this.down = 0;
      else this.down += Math.min(environment.now() - since, LONGEST_ATTEMPT);
      since = environment.now();
      if (this.down > this.settings.giveUpAfter) {
        throw new ConnectionLost(`no connection for too long (${this.lastError ?? "?"}); use a new client later`);
      }
      await this.pause();
    }
  }

  /** One attempt to connect. */
  private async open(): Promise<Talk | undefined> {
    let constructor: SocketConstructor;
    let protocols: string[];
    try {
      constructor = await socketConstructor(this.given);
      protocols = await subprotocols(this.token);
    } catch (error) {
      if (this.core.counter === 0) throw new ConnectionLost(`no token: ${String(error)}`, { cause: error });
      this.lastError = String(error); // the service that issues tokens may be away for a moment, too
      return undefined;
    }
    if (this.ending) return undefined;
    try {
      const talk = await this.handshake(constructor, protocols);
      this.refusals = this.unanswered = 0;
      return talk;
    } catch (error) {
      this.lastError = error instanceof Error ? error.message : String(error);
      this.judge();
      return undefined;
    }
  }

  private handshake(constructor: SocketConstructor, protocols: string[]): Promise<Talk> {
    return new Promise((resolve, reject) => {
      const socket = new constructor(this.url, protocols);
      const settle = (outcome: () => void): void => {
        cancel();
        this.interrupt = () => undefined;
        socket.onopen = socket.onclose = null;
        socket.onerror = () => undefined;
        outcome();
      };
      const fail = (why: string): void => {
        settle(() => {
          reject(new Error(why));
        });
        socket.close();
      };
      const cancel = this.environment.later(this.core.handshakeTimeout(this.unanswered), () => {
        this.unanswered += 1;
        fail("no answer to the handshake");
      });
      this.interrupt = () => {
        if (this.ending) fail("closed");
      };
      let reason = "the handshake failed";
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        settle(() => {
          resolve(this.join(socket)); // at once: the first message may come with the opening
        });
      };
      socket.onerror = (event) => {
        reason = (event as { message?: string }).message || reason;
      };
      socket.onclose = () => {
        fail(reason);
      };
    });
  }

  /** Tell a refusal that lasts from a server in trouble. */
  private judge(): void {
    const status = Number(/server response: (\d{3})/.exec(this.lastError ?? "")?.[1]);
    if (!REFUSED.has(status)) {
      this.refusals = 0;
      return;
    }
    this.refusals += 1;
    if (this.core.counter === 0 || this.refusals >= REFUSALS) throw new HandshakeRefused(status);
  }

  private join(socket: SocketLike): Talk {
    const talk = new Talk(socket, this.core, this.settings, this.environment, this.ear);
    this.talks.add(talk);
    void talk.over.then(() => {
      this.left(talk);
    });
    if (this.ending) talk.leave();
    this.wake(); // an older connection need not say hello any more
    return talk;
  }

  /** Wait until the connection ends (false), or is so old, or so silent, that it needs a renewal (true). */
  private async untilItIsOld(talk: Talk): Promise<boolean> {
    const { environment, settings } = this;
    const over = talk.over.then(() => false);
    let cancel = (): void => undefined;
    const old = new Promise<boolean>((resolve) => {
      const lifetime = settings.connectionLifetime * (1 - settings.lifetimeJitter * environment.random());
      cancel = environment.later(lifetime, () => {
        resolve(true);
      });
    });
    const renew = await Promise.race([over, old, talk.old.then(() => true)]);
    cancel();
    if (!renew) {
      this.closeCode = talk.closeCode;
      this.lastError = talk.error ?? this.lastError;
    }
    return renew && !this.ending;
  }

  /** A renewal waits no longer once the connection that it was to replace has ended. */
  private left(talk: Talk): void {
    this.talks.delete(talk);
    if (this.core.hasConnection) return;
    this.closeCode = talk.closeCode;
    this.cutOff = true;
    this.interrupt();
  }

  /** Wait before a new attempt. */
  private async pause(): Promise<void> {
    do {
      this.cutOff = false;
      const retries = this.core.hasConnection ? this.renewalRetries : this.retries;
      await this.rest(retries.pause(this.closeCode));
    } while (this.cutOff && !this.ending);
  }

  private rest(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.ending) {
        resolve();
        return;
      }
      const cancel = this.environment.later(milliseconds, () => {
        this.interrupt();
      });
      this.interrupt = () => {
        cancel();
        this.interrupt = () => undefined;
        resolve();
      };
    });
  }

  private changed(change: Change): void {
    if (change !== "offline") this.retry();
    this.core.doubt();
    this.wake();
    this.ear.progressed();
  }

  /** Try again at once: a loss without fault of the server's need not wait. */
  private retry(): void {
    this.begin();
    this.interrupt();
  }

  /** What comes now is the first attempt. */
  private begin(): void {
    this.retries.succeeded();
    this.renewalRetries.succeeded();
    this.down = 0;
  }

  /** Notice that the computer was asleep: timers are late, and what was connected probably is no more. */
  private watchSleep(): () => void {
    let cancel = (): void => undefined;
    const watch = (): void => {
      const began = this.environment.wall();
      cancel = this.environment.later(WATCH_INTERVAL, () => {
        if (this.environment.wall() - began > ASLEEP) this.changed("shown");
        watch();
      });
    };
    watch();
    return () => {
      cancel();
    };
  }
}
