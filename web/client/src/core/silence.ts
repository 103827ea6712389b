// Silence need not cost: after a second of real quiet audio a marker goes instead of frames (docs/protocol.md, Silence).
//
//     speech ── 1 s of quiet, sent ── marker ── 2 s ── marker ── … ── loud: the last 300 ms that were not sent, then live
//
// Time is that of the audio itself, so a throttled timer changes nothing.

/** Audio that is given in place of pieces: the microphone is open and silent. */
export const MARKER = Symbol("silence");

/** Quiet audio that still goes, in milliseconds: the provider has to hear the end of an utterance. */
const TRAILING = 1_000;
/** Between two markers. */
const INTERVAL = 2_000;
/** Of what was not sent, so much goes before the first loud piece. */
const PRE_ROLL = 300;
/** A piece with a sample beyond this is loud; so segue.wire.audio has it in Python. */
const LOUD = 400;
/** Every fourth sample tells as well how loud a tenth of a second was. */
const STEP = 4;
/** The pre-roll goes in pieces of about this length. */
const PIECE = 150;
/** The quiet at the end goes in pieces of this length. */
const END_PIECE = 100;

/** Decides what of a microphone's audio is sent. */
export class SilenceGate {
  private quiet = 0;
  private sinceMarker = Infinity;
  private kept = new Uint8Array(0);
  /** True if something was sent, and less than `TRAILING` of quiet audio after it. */
  private sounding = false;

  /** Take a piece of PCM16 at `rate`; return what to send. Without `marking` everything goes. */
  take(piece: Uint8Array, rate: number, marking: boolean): (Uint8Array | typeof MARKER)[] {
    const milliseconds = (piece.length / 2 / rate) * 1000;
    if (!marking || isLoud(piece)) {
      const before = this.preRoll(rate);
      this.open();
      this.sounding = true;
      return [...before, piece];
    }
    if (this.quiet < TRAILING) {
      this.quiet += milliseconds;
      if (this.quiet >= TRAILING) this.sounding = false;
      return [piece];
    }
    this.keep(piece, rate);
    this.sinceMarker += milliseconds;
    if (this.sinceMarker < INTERVAL) return [];
    this.sinceMarker = 0;
    return [MARKER];
  }

  /** The microphone was closed, or opened: what was kept is old. */
  open(): void {
    this.quiet = 0;
    this.sinceMarker = Infinity;
    this.kept = new Uint8Array(0);
    this.sounding = false;
  }

  /** The microphone was closed or muted: return the quiet that the provider lacks to hear the end of an utterance. */
  end(rate: number): Uint8Array[] {
    const lacking = this.sounding ? Math.ceil((TRAILING - this.quiet) / END_PIECE) : 0;
    this.open();
    return Array.from({ length: lacking }, () => new Uint8Array(2 * Math.round((rate * END_PIECE) / 1000)));
  }

  private keep(piece: Uint8Array, rate: number): void {
    const most = 2 * Math.round((rate * PRE_ROLL) / 1000);
    const whole = new Uint8Array(this.kept.length + piece.length);
    whole.set(this.kept);
    whole.set(piece, this.kept.length);
    this.kept = whole.slice(Math.max(0, whole.length - most));
  }

  private preRoll(rate: number): Uint8Array[] {
    const count = Math.ceil(this.kept.length / 2 / ((rate * PIECE) / 1000));
    const samples = Math.ceil(this.kept.length / 2 / Math.max(count, 1));
    return Array.from({ length: count }, (_, index) => this.kept.subarray(2 * index * samples, 2 * (index + 1) * samples));
  }
}

/** Tell whether PCM16 audio may contain speech; tests/conformance/loudness.json says what is. */
export function isLoud(piece: Uint8Array): boolean {
  const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
  for (let at = 0; at + 1 < piece.length; at += 2 * STEP) if (Math.abs(view.getInt16(at, true)) > LOUD) return true;
  return false;
}
