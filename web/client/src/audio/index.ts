/**
 * Sound in a browser: the microphone into a conversation, its answers out of the loudspeaker.
 *
 *     const voice = await openVoice(conversation, { captureUrl, playbackUrl }); // in a click handler
 *     voice.on("level", ({ input, output }) => …);
 *
 * Both worklets are modules of their own, because a page's policy may forbid others: give their addresses.
 */
export { AudioError, AudioUnsupported, MicrophoneBusy, MicrophoneDenied, MicrophoneMissing } from "./errors.js";
export type { Devices, VoiceEvents, VoiceOptions } from "./voice.js";
export { openVoice, Voice } from "./voice.js";
