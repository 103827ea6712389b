// Silence detection: after a second of quiet audio, markers are sent in place of frames (docs/protocol.md, Silence).
//
//     speech ── 1 s of quiet, sent ── marker ── 2 s ── marker ── … ── loud: the last 300 ms that were not sent, then live
//
// Times are those of the audio, so that a throttled timer changes nothing.

/** Marker in place of audio: the microphone is open and silent. */
export const MARKER = Symbol("silence");

/** Milliseconds of quiet audio that are still sent: the provider has to hear the end of an utterance. */
const TRAILING_MS = 1_000;
/** Milliseconds between two markers. */
const MARKER_INTERVAL_MS = 2_000;
/** Milliseconds of unsent audio that go before the first loud piece. */
const PRE_ROLL_MS = 300;
/** Amplitude of a 16-bit sample above which a piece is loud; the same as QUIET_PEAK of segue.wire.audio in Python. */
const LOUD_SAMPLE = 400;
/** Samples between two that are looked at: every fourth shows the loudness of a tenth of a second as well. */
const SAMPLE_STEP = 4;
/** Milliseconds of a piece of the pre-roll, about. */
const PRE_ROLL_PIECE_MS = 150;
/** Milliseconds of a piece of the quiet at the end. */
const END_PIECE_MS = 100;

/** Gate of a microphone's audio: passes speech, and replaces silence by markers. */
export class SilenceGate {
  private quietMs = 0;
  private sinceMarkerMs = Infinity;
  private unsent = new Uint8Array(0);
  /** True if speech was sent, and less than `TRAILING_MS` of quiet after it. */
  private utteranceOpen = false;

  /**
   * Take a piece of PCM16 at `rate` samples a second; return the pieces and markers to send. Without `marking`
   * everything is sent.
   */
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

  /** Forget the kept audio: the microphone was closed or opened. */
  reset(): void {
    this.quietMs = 0;
    this.sinceMarkerMs = Infinity;
    this.unsent = new Uint8Array(0);
    this.utteranceOpen = false;
  }

  /** End the utterance, after the microphone was closed or muted; return the rest of the quiet after it, in pieces. */
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

/** Tell whether PCM16 audio may contain speech; tests/conformance/loudness.json has the cases. */
export function isLoud(piece: Uint8Array): boolean {
  const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
  for (let at = 0; at + 1 < piece.length; at += 2 * SAMPLE_STEP) if (Math.abs(view.getInt16(at, true)) > LOUD_SAMPLE) return true;
  return false;
}
