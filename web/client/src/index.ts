/**
 * A client of Segue's wire protocol, for browsers and Node.
 *
 *     const conversation = connect({ url, session: "user_123", token });
 *     conversation.on("transcript", ({ role, text, final }) => final && console.log(role, text));
 *     await conversation.whenReady();
 *     conversation.sendText("What's my name?");
 */
export { fromBase64, samplesOf, toBase64 } from "./base64.js";
export { connect, Conversation } from "./conversation.js";
export type { MediaType, Modality } from "./core/frames.js";
export type { ClientSettings } from "./core/settings.js";
export { DEFAULTS } from "./core/settings.js";
export type { PlayedAudio } from "./core/shown-output.js";
export type { TokenSupply } from "./credentials.js";
export type { Change, Environment, SocketConstructor, SocketLike } from "./environment.js";
export * from "./errors.js";
export type { ConversationEvents, EventName, Listener, State } from "./events.js";
export type * from "./generated/protocol.js";
export type { ConnectOptions, HistoryOptions } from "./options.js";
