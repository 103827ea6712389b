import { SegueError } from "../errors.js";

/** Base of what goes wrong with sound. The conversation goes on: it can be typed. */
export class AudioError extends SegueError {
  constructor(
    readonly code: "denied" | "missing" | "busy" | "unsupported",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message);
    if (options?.cause !== undefined) this.cause = options.cause;
  }
}

/** The user, or a policy, does not let the page have the microphone. Ask the user to allow it. */
export class MicrophoneDenied extends AudioError {}

/** There is no such microphone. */
export class MicrophoneMissing extends AudioError {}

/** Another program has the microphone. */
export class MicrophoneBusy extends AudioError {}

/** This browser, or the page's address, cannot do it: microphones need https or loopback. */
export class AudioUnsupported extends AudioError {}

/** The error of this library for one of `getUserMedia`. */
export function microphoneError(error: unknown): AudioError {
  const options = { cause: error };
  switch ((error as { name?: string } | undefined)?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return new MicrophoneDenied("denied", "the microphone was not allowed: allow it for this page, then try again", options);
    case "NotFoundError":
    case "OverconstrainedError":
      return new MicrophoneMissing("missing", "there is no such microphone: plug one in, or choose another", options);
    case "NotReadableError":
    case "AbortError":
      return new MicrophoneBusy("busy", "the microphone cannot be read: close the program that uses it, then try again", options);
    default:
      return new AudioUnsupported("unsupported", "this browser gives no microphone here: use https, or loopback", options);
  }
}
