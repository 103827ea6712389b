/** Messages to the user: what happened, and the next step. */
import { AudioUnsupported, MicrophoneBusy, MicrophoneDenied, MicrophoneMissing } from "../../client/src/audio/index.js";
import type { ErrorFrame, State } from "../../client/src/index.js";
import { ConnectionLost, FrameError, HandshakeRefused, NotReady, SenderFull, SessionRefused } from "../../client/src/index.js";
import { ImageProblem } from "./images.js";

export const STATE_LABELS: Readonly<Record<State, string>> = {
  connecting: "Connecting",
  ready: "Connected",
  moving: "Changing hands",
  reconnecting: "Reconnecting",
  offline: "No network",
  closed: "Ended",
  failed: "Ended",
};

/** Return the gap of a handoff as text; of a takeover only an upper bound is known. */
export function gapLabel({ gap, planned }: { readonly gap: number; readonly planned: boolean }): string {
  return planned ? `${gap} ms` : `≤ ${gap} ms`;
}

const ERROR_MESSAGES: Readonly<Record<string, string>> = {
  approval_open: "Answer the question above first, then say it again.",
  approval_closed: "That question is not open any more.",
  bad_answer: "That answer did not fit the question. Answer it again.",
  bad_image: "That image could not be taken here. Try a JPEG or PNG below 4 MB, in a voice session.",
  content_refused: "The model does not take that. Say it in another way.",
  agent_failed: "The assistant could not be started. It is tried again; the person who runs this service can see why.",
  model_throttled: "The model is asked too often at the moment. Wait a little, then try again.",
  model_unavailable: "The model does not answer at the moment. The session goes on; try again soon.",
  model_failed: "The model broke off. The session goes on; say it again.",
  model_access: "This service may not use its model. The person who runs it has to allow that.",
  no_worker: "No worker is free yet. One has been asked for; this goes on trying.",
  too_many_sessions: "You have too many sessions open. Close another one; this goes on trying.",
  busy: "The service is busy for a moment. What you said is kept.",
  too_fast: "That was a lot at once. What you said is kept, and follows in a moment.",
  internal: "Something went wrong in the service. The session goes on; try again.",
};

/** Error codes that the client handles by itself; users need not see them. */
const HANDLED_BY_CLIENT = new Set(["expired", "unknown_connection", "beyond_window", "hello_first", "too_fast", "busy", "superseded"]);

/** Return the message for an error of the service; undefined if the client handles it by itself. */
export function errorMessage({ code, message }: ErrorFrame): string | undefined {
  if (HANDLED_BY_CLIENT.has(code)) return undefined;
  return ERROR_MESSAGES[code] ?? `The service says: ${message}.`;
}

/** Return the message for the end of a conversation. */
export function endMessage(error: Error): string {
  if (error instanceof SessionRefused) {
    if (error.code === "expired" || error.code === "unauthorized") return "Your sign-in is not accepted any more. Sign in again.";
    return "This session cannot be opened: its name is not one, or another tab has taken this one's place. Start it again.";
  }
  if (error instanceof HandshakeRefused) return "The service does not let you in. Sign in again.";
  if (error instanceof ConnectionLost || error instanceof NotReady) {
    return "There was no connection for too long. Check the network, then go on.";
  }
  return "The conversation broke off. Go on to continue it.";
}

/** Return the message for a problem of sound. */
export function soundMessage(error: unknown): string {
  if (error instanceof MicrophoneDenied) {
    return "The microphone is blocked for this page. Allow it beside the address, then start talking again. You can type meanwhile.";
  }
  if (error instanceof MicrophoneMissing) {
    return "There is no microphone. Plug one in, then start talking again. You can type meanwhile.";
  }
  if (error instanceof MicrophoneBusy) {
    return "Another program is using the microphone. Close it there, then start talking again.";
  }
  if (error instanceof AudioUnsupported) {
    return "This browser cannot handle the sound. Try a recent Chrome, Edge, Firefox or Safari. You can type meanwhile.";
  }
  return "The sound could not be started. Try again, or type meanwhile.";
}

/** Return the message for text or an image that was not taken. */
export function inputMessage(error: unknown): string {
  if (error instanceof SenderFull) return "There is a lot on its way already. Wait until it has arrived, then send this again.";
  if (error instanceof FrameError) return "That is too long for one message. Send it in smaller pieces.";
  if (error instanceof ImageProblem) return error.message;
  return "That could not be sent. Try it again.";
}
