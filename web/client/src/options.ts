import type { Modality } from "./core/frames.js";
import type { ClientSettings } from "./core/settings.js";
import type { TokenSupply } from "./credentials.js";
import type { Environment, SocketConstructor } from "./environment.js";

/** Options of a conversation. */
export interface ConnectOptions {
  /** WebSocket address (`ws://…`, `wss://…`). */
  readonly url: string;
  /** Session id. */
  readonly session: string;
  /**
   * A bearer token, or a function that returns a fresh one for each connection, with which the client outlives its
   * tokens.
   */
  readonly token?: TokenSupply | undefined;
  /** Id of this client for as long as the page lives; random if left out. */
  readonly clientId?: string | undefined;
  /** Kind of most of the input; `voice` if left out. */
  readonly modality?: Modality | undefined;
  /** True if the program answers approvals; otherwise they are denied. */
  readonly approvals?: boolean | undefined;
  /** True to receive the conversation so far, and what other clients type, as `history` events. */
  readonly history?: boolean | undefined;
  /**
   * `mark` (the default): markers in place of a silent microphone's audio, if the holder takes them. `send`: all audio.
   */
  readonly silence?: "mark" | "send" | undefined;
  /** Function called with each input; returns the W3C traceparent that it carries. */
  readonly trace?: (() => string | undefined) | undefined;
  /** Times (milliseconds) and limits that differ from `DEFAULTS`. */
  readonly settings?: Partial<ClientSettings> | undefined;
  /** WebSocket class; if left out, the platform's own, or that of the package `ws`. */
  readonly WebSocket?: SocketConstructor | undefined;
  /** Clock, timers and network; tests bring their own. */
  readonly environment?: Environment | undefined;
}

/** Options of `history`: the record `before` which lines are wanted, and a timeout in milliseconds. */
export interface HistoryOptions {
  readonly before?: number | undefined;
  readonly timeout?: number | undefined;
}
