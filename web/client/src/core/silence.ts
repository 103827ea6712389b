// Silence need not cost: after a second of real quiet audio a marker goes instead of frames (docs/protocol.md, Silence).
//
//     speech ── 1 s of quiet, sent ── marker ── 2 s ── marker ── … ── loud: the last 300 ms that were not sent, then live
//
// Time is that of the audio itself, so a throttled timer changes nothing.

/** Audio that is given in place of pieces: the microphone is open and silent. */
export const MARKER = Symbol("silence");

/** Quiet audio that still goes, in milliseconds: the provider has to hear the end of an utterance. */
const TRAILING_MS = 1_000;
/** Between two markers. */
const MARKER_INTERVAL_MS = 2_000;
/** Of what was not sent, so much goes before the first loud piece. */
const PRE_ROLL_MS = 300;
/** A piece with a sample beyond this is loud; so segue.wire.audio has it in Python. */
const LOUD_SAMPLE = 400;
/** Every fourth sample tells as well how loud a tenth of a second was. */
const SAMPLE_STEP = 4;
/** The pre-roll goes in pieces of about this length. */
const PRE_ROLL_PIECE_MS = 150;
/** The quiet at the end goes in pieces of this length. */
const END_PIECE_MS = 100;

/** Decides what of a microphone's audio is sent. */
export class SilenceGate {
  private quietMs = 0;
  private sinceMarkerMs = Infinity;
  private unsent = new Uint8Array(0);
  /** True if something was sent, and less than `TRAILING` of quiet audio after it. */
  private utteranceOpen = false;

  /** Take a piece of PCM16 at `rate`; return what to send. Without `marking` everything goes. */
  take(piece: Uint8Array, rate: number, marking: boolean): (Uint8Array | typeof MARKER)[] {
    const milliseconds = (piece.length / 2 / rate) * 1000;
    if (!marking || isLoud(piece)) {
      const before = this.preRoll(rate);
      this.reset();
      this.utteranceOpen = true;
      return [...before, piece];
    }
    if (this.quietMs < TRAILING_MS) {
      this.quietMs += milliseconds;
      if (this.quietMs >= TRAILING_MS) this.utteranceOpen = false;
      return [piece];
    }
    this.keepForPreRoll(piece, rate);
    this.sinceMarkerMs += milliseconds;
    if (this.sinceMarkerMs < MARKER_INTERVAL_MS) return [];
    this.sinceMarkerMs = 0;
    return [MARKER];
  }

  /** The microphone was closed, or opened: what was kept is old. */
  reset(): void {
    this.quietMs = 0;
    this.sinceMarkerMs = Infinity;
    this.unsent = new Uint8Array(0);
    this.utteranceOpen = false;
  }

  /** The microphone was closed or muted: return the quiet that the provider lacks to hear the end of an utterance. */
  end(rate: number): Uint8Array[] {
    const missingPieces = this.utteranceOpen ? Math.ceil((TRAILING_MS - this.quietMs) / END_PIECE_MS) : 0;
    this.reset();
    return Array.from({ length: missingPieces }, () => new Uint8Array(2 * Math.round((rate * END_PIECE_MS) / 1000)));
  }

  private keepForPreRoll(piece: Uint8Array, rate: number): void {
    const maxBytes = 2 * Math.round((rate * PRE_ROLL_MS) / 1000);
    const whole = new Uint8Array(this.unsent.length + piece.length);
    whole.set(this.unsent);
    whole.set(piece, this.unsent.length);
    this.unsent = whole.slice(Math.max(0, whole.length - maxBytes));
  }

  private preRoll(rate: number): Uint8Array[] {
    const count = Math.ceil(this.unsent.length / 2 / ((rate * PRE_ROLL_PIECE_MS) / 1000));
    const samples = Math.ceil(this.unsent.length / 2 / Math.max(count, 1));
    return Array.from({ length: count }, (_, index) => this.unsent.subarray(2 * index * samples, 2 * (index + 1) * samples));
  }
}

/** Tell whether PCM16 audio may contain speech; tests/conformance/loudness.json says what is. */
export function isLoud(piece: Uint8Array): boolean {
  const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
  for (let at = 0; at + 1 < piece.length; at += 2 * SAMPLE_STEP) if (Math.abs(view.getInt16(at, true)) > LOUD_SAMPLE) return true;
  return false;
}
