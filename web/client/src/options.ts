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
  /** A bearer token, or a function that gets one for each new connection: with it the client outlives its tokens. */
  readonly token?: TokenSupply | undefined;
  /** Identity of this client for as long as the page lives; random if left out. */
  readonly clientId?: string | undefined;
  /** The kind of input that will mostly be sent. */
  readonly modality?: Modality | undefined;
  /** True if the program answers an `approval`; if not, what asks for one is denied. */
  readonly approvals?: boolean | undefined;
  /** True to be shown the conversation so far, and what other clients type, as `history` events. */
  readonly history?: boolean | undefined;
  /** `mark` (the default): while the microphone is silent, markers go instead of frames, if the holder knows them. */
  readonly silence?: "mark" | "send" | undefined;
  /** Returns the W3C traceparent that inputs carry from now on. */
  readonly trace?: (() => string | undefined) | undefined;
  /** Times (milliseconds) and limits that differ from `DEFAULTS`. */
  readonly settings?: Partial<ClientSettings> | undefined;
  /** The WebSocket to use: the platform's own if left out, else that of the package `ws`. */
  readonly WebSocket?: SocketConstructor | undefined;
  /** Clock, timers and network; tests bring their own. */
  readonly environment?: Environment | undefined;
}

/** The page to ask for, and for how long (milliseconds). */
export interface HistoryOptions {
  readonly before?: number | undefined;
  readonly timeout?: number | undefined;
}
