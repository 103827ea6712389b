// Connections of a conversation: the first, a new one when one breaks, and a renewal before one is ended.
//
// ── connection 1 ───────────────────────────────┐ ready on 2: closed
//                               ┌── hello ─ ready ┴─ connection 2 ───── … ✕   ┌── connection 3
//      lifetime, reconnect, silence                                       pause┘
//
// ── connection 1 ───────────────────────────── ✕  1012: its worker has ended, and no connection is left
//                  ┌ 1013  ┌ 1013  ┌ 1013         ┌── connection 5: at once, without the rest of the pause
//         reconnect┘ at once┘ at once┘    pause of a renewal…
import type { Core } from "./core/core.js";
import type { ClientSettings } from "./core/settings.js";
import type { TokenSupply } from "./credentials.js";
import { subprotocols } from "./credentials.js";
import type { Change, Environment, SocketConstructor, SocketLike } from "./environment.js";
import { socketConstructor } from "./environment.js";
import { ConnectionLost, HandshakeRefused } from "./errors.js";
import type { SocketListener } from "./websocket.js";
import { Retries } from "./core/retries.js";
import { ClientWebSocket } from "./websocket.js";

/** Handshake statuses that blame the caller or the address. Browsers hide them; the package `ws` tells them. */
const REFUSED_STATUSES: ReadonlySet<number> = new Set([400, 401, 403, 404, 405, 410]);
/** Refused handshakes in a row that end the client after a first success: no deployment lasts longer. */
const MAX_REFUSALS = 3;
/** Milliseconds that an attempt and its pause take at most; the rest of a longer time was spent asleep. */
const LONGEST_ATTEMPT_MS = 30_000;
/** Milliseconds between two comparisons of the clocks. */
const WATCH_INTERVAL_MS = 15_000;
/** Milliseconds after which a late timer means that the computer slept; background tabs run timers every minute. */
const ASLEEP_AFTER_MS = 75_000;

/** Connections of one conversation. */
export class Connections {
  /** The cause of the last failed attempt or of the last connection's end. */
  lastError: string | undefined;
  private readonly sockets = new Set<ClientWebSocket>();
  private refusals = 0;
  /** Handshakes in a row that timed out. */
  private unansweredHandshakes = 0;
  private ending = false;
  private readonly retries: Retries;
  /** Pauses of renewals, beside a connection that works; unused once that one has ended. */
  private readonly renewalRetries: Retries;
  /** Close code of the connection that ended last. */
  private closeCode: number | undefined;
  /** True if the last connection has ended since the pause began. */
  private endedDuringPause = false;
  /** Milliseconds without a connection so far. */
  private disconnectedMs = 0;
  private endWait = (): void => undefined;

  constructor(
    private readonly url: string,
    private readonly token: TokenSupply | undefined,
    private readonly givenConstructor: SocketConstructor | undefined,
    private readonly core: Core,
    private readonly settings: ClientSettings,
    private readonly environment: Environment,
    private readonly listener: SocketListener,
  ) {
    this.retries = new Retries(settings, () => environment.random());
    this.renewalRetries = new Retries(settings, () => environment.random());
  }

  /** Wake every connection: there may be frames to send. */
  wake(): void {
    for (const socket of this.sockets) socket.wake();
  }

  /** Say good-bye on every connection and end. */
  end(): void {
    this.ending = true;
    for (const socket of this.sockets) socket.sayGoodbye();
    this.endWait();
  }

  /** Stay connected until `end`. Rejects with the `ClientError` that ends the client. */
  async run(): Promise<void> {
    const unwatch = this.environment.watch((change) => {
      this.onChange(change);
    });
    const unwatchSleep = this.watchSleep();
    try {
      await this.stayConnected();
    } finally {
      unwatch();
      unwatchSleep();
      for (const socket of this.sockets) socket.sayGoodbye();
      await Promise.all([...this.sockets].map((socket) => socket.ended));
    }
  }

  private async stayConnected(): Promise<void> {
    const { environment } = this;
    let since = environment.now();
    while (!this.ending) {
      const previousReady = this.core.lastReady;
      this.closeCode = undefined;
      const socket = await this.open();
      const renewing = socket !== undefined && (await this.untilRenewalDue(socket));
      const gotReady = this.core.lastReady !== previousReady;
      if (gotReady) this.resetRetries();
      if (renewing) continue; // it works, but needs a renewal: the next opens beside it
      if (this.core.failure) throw this.core.failure;
      if (gotReady || this.core.greeted || !environment.online()) this.disconnectedMs = 0;
      else this.disconnectedMs += Math.min(environment.now() - since, LONGEST_ATTEMPT_MS);
      since = environment.now();
      if (this.disconnectedMs > this.settings.giveUpAfter) {
        throw new ConnectionLost(`no connection for too long (${this.lastError ?? "?"}); use a new client later`);
      }
      await this.pause();
    }
  }

  /**
   * Try to connect once. Returns undefined after a failure that may pass; throws `ClientError` after one that will not.
   */
  private async open(): Promise<ClientWebSocket | undefined> {
    let constructor: SocketConstructor;
    let protocols: string[];
    try {
      constructor = await socketConstructor(this.givenConstructor);
      protocols = await subprotocols(this.token);
    } catch (error) {
      if (this.core.counter === 0) throw new ConnectionLost(`no token: ${String(error)}`, { cause: error });
      this.lastError = String(error); // the token service may be away for a moment, too
      return undefined;
    }
    if (this.ending) return undefined;
    try {
      const socket = await this.handshake(constructor, protocols);
      this.refusals = this.unansweredHandshakes = 0;
      return socket;
    } catch (error) {
      this.lastError = error instanceof Error ? error.message : String(error);
      this.checkRefusal();
      return undefined;
    }
  }

  private handshake(constructor: SocketConstructor, protocols: string[]): Promise<ClientWebSocket> {
    return new Promise((resolve, reject) => {
      const socket = new constructor(this.url, protocols);
      const settle = (outcome: () => void): void => {
        cancel();
        this.endWait = () => undefined;
        socket.onopen = socket.onclose = null;
        socket.onerror = () => undefined;
        outcome();
      };
      const fail = (problem: string): void => {
        settle(() => {
          reject(new Error(problem));
        });
        socket.close();
      };
      const cancel = this.environment.later(this.core.handshakeTimeout(this.unansweredHandshakes), () => {
        this.unansweredHandshakes += 1;
        fail("no answer to the handshake");
      });
      this.endWait = () => {
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

  /** Throw `HandshakeRefused` for a refusal that lasts; return for one of a server in trouble. */
  private checkRefusal(): void {
    const status = Number(/server response: (\d{3})/.exec(this.lastError ?? "")?.[1]);
    if (!REFUSED_STATUSES.has(status)) {
      this.refusals = 0;
      return;
    }
    this.refusals += 1;
    if (this.core.counter === 0 || this.refusals >= MAX_REFUSALS) throw new HandshakeRefused(status);
  }

  private join(socket: SocketLike): ClientWebSocket {
    const joined = new ClientWebSocket(socket, this.core, this.settings, this.environment, this.listener);
    this.sockets.add(joined);
    void joined.ended.then(() => {
      this.onSocketEnd(joined);
    });
    if (this.ending) joined.sayGoodbye();
    this.wake(); // an older connection need not say hello any more
    return joined;
  }

  /** Wait until the connection ends (false), or needs a renewal for its age or its silence (true). */
  private async untilRenewalDue(socket: ClientWebSocket): Promise<boolean> {
    const { environment, settings } = this;
    const ended = socket.ended.then(() => false);
    let cancel = (): void => undefined;
    const lifetimeOver = new Promise<boolean>((resolve) => {
      const lifetime = settings.connectionLifetime * (1 - settings.lifetimeJitter * environment.random());
      cancel = environment.later(lifetime, () => {
        resolve(true);
      });
    });
    const renew = await Promise.race([ended, lifetimeOver, socket.renewalDue.then(() => true)]);
    cancel();
    if (!renew) {
      this.closeCode = socket.closeCode;
      this.lastError = socket.error ?? this.lastError;
    }
    return renew && !this.ending;
  }

  /** Forget a connection that has ended; end the pause of a renewal that was to replace it. */
  private onSocketEnd(socket: ClientWebSocket): void {
    this.sockets.delete(socket);
    if (this.core.hasConnection) return;
    this.closeCode = socket.closeCode;
    this.endedDuringPause = true;
    this.endWait();
  }

  /** Wait before the next attempt. */
  private async pause(): Promise<void> {
    do {
      this.endedDuringPause = false;
      const retries = this.core.hasConnection ? this.renewalRetries : this.retries;
      await this.wait(retries.pause(this.closeCode));
    } while (this.endedDuringPause && !this.ending);
  }

  private wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.ending) {
        resolve();
        return;
      }
      const cancel = this.environment.later(milliseconds, () => {
        this.endWait();
      });
      this.endWait = () => {
        cancel();
        this.endWait = () => undefined;
        resolve();
      };
    });
  }

  private onChange(change: Change): void {
    if (change !== "offline") this.retryNow();
    this.core.probeConnections();
    this.wake();
    this.listener.onProgress();
  }

  /** Try again at once: the server has not caused the loss. */
  private retryNow(): void {
    this.resetRetries();
    this.endWait();
  }

  /** Start all backoffs anew. */
  private resetRetries(): void {
    this.retries.succeeded();
    this.renewalRetries.succeeded();
    this.disconnectedMs = 0;
  }

  /**
   * Notice a sleep of the computer by a late timer: its connections are probably dead. Returns a function that stops
   * it.
   */
  private watchSleep(): () => void {
    let cancel = (): void => undefined;
    const watch = (): void => {
      const startedAt = this.environment.wall();
      cancel = this.environment.later(WATCH_INTERVAL_MS, () => {
        if (this.environment.wall() - startedAt > ASLEEP_AFTER_MS) this.onChange("shown");
        watch();
      });
    };
    watch();
    return () => {
      cancel();
    };
  }
}
