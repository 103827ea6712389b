/**
 * Sound of a conversation in a browser: microphone and loudspeaker.
 *
 *     const voice = await openVoice(conversation, { captureUrl, playbackUrl }); // in a click handler
 *     voice.on("level", ({ input, output }) => …);
 *
 * Give the addresses of both worklets: they are modules of their own, because a page's policy may forbid inline code.
 */
export { AudioError, AudioUnsupported, MicrophoneBusy, MicrophoneDenied, MicrophoneMissing } from "./errors.js";
export type { Devices, VoiceEvents, VoiceOptions } from "./voice.js";
export { openVoice, Voice } from "./voice.js";
