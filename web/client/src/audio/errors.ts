import { SegueError } from "../errors.js";

/** Base of the errors of sound. The conversation goes on, with typed input. */
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

/** The user or a policy refuses the microphone. Ask the user to allow it. */
export class MicrophoneDenied extends AudioError {}

/** The microphone does not exist. Plug one in, or choose another. */
export class MicrophoneMissing extends AudioError {}

/** Another program uses the microphone. Close that program. */
export class MicrophoneBusy extends AudioError {}

/** The browser or the page's address does not support sound: microphones need https or loopback. */
export class AudioUnsupported extends AudioError {}

/** Return this library's error for an error of `getUserMedia`. */
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
