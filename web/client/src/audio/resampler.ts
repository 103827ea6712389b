/** Zero crossings of the kernel on each side: more are sharper, and cost more. */
const CROSSINGS = 12;

/** Steps of the kernel's table between two zero crossings. */
const STEPS_PER_CROSSING = 256;

/** Cutoff as part of half the lower rate: below 1, so that the kernel's slope lies below it, too. */
const PASS_BAND = 0.94;

/** sin(πx)/πx under a Blackman window: a table from 0 to `CROSSINGS`. */
const KERNEL = Float32Array.from({ length: CROSSINGS * STEPS_PER_CROSSING + 2 }, (_, index) => {
  const x = index / STEPS_PER_CROSSING;
  if (x >= CROSSINGS) return 0;
  const window = 0.42 + 0.5 * Math.cos((Math.PI * x) / CROSSINGS) + 0.08 * Math.cos((2 * Math.PI * x) / CROSSINGS);
  return x === 0 ? 1 : (Math.sin(Math.PI * x) / (Math.PI * x)) * window;
});

/**
 * Converter of the sample rate of a stream, piece by piece, late by half a kernel: 0.75 ms at 16 kHz.
 *
 * Where the rates are equal, samples pass unchanged.
 */
export class Resampler {
  /** Input samples kept: those under the kernel of the next output sample. */
  private kept: Float32Array;
  /** Position of the next output sample, in samples of `kept`. */
  private nextAt: number;
  private readonly step: number;
  private readonly cutoff: number;
  private readonly kernelHalf: number;

  constructor(
    readonly from: number,
    readonly to: number,
  ) {
    this.step = from / to;
    this.cutoff = PASS_BAND * Math.min(1, to / from);
    this.kernelHalf = Math.ceil(CROSSINGS / this.cutoff);
    this.kept = new Float32Array(this.kernelHalf); // silence before the first sample
    this.nextAt = this.kernelHalf;
  }

  /** Take the next input samples; return the output samples that they complete. */
  push(samples: Float32Array): Float32Array {
    if (this.from === this.to) return samples.slice();
    const input = new Float32Array(this.kept.length + samples.length);
    input.set(this.kept);
    input.set(samples, this.kept.length);
    const count = Math.max(0, Math.ceil((input.length - this.kernelHalf - this.nextAt) / this.step));
    const output = new Float32Array(count);
    for (let index = 0; index < count; index += 1) output[index] = this.interpolate(input, this.nextAt + index * this.step);
    const next = this.nextAt + count * this.step;
    const drop = Math.max(0, Math.floor(next) - this.kernelHalf);
    this.kept = input.slice(drop);
    this.nextAt = next - drop;
    return output;
  }

  private interpolate(input: Float32Array, at: number): number {
    const { cutoff, kernelHalf: half } = this;
    const first = Math.max(0, Math.ceil(at - half));
    const last = Math.min(input.length - 1, Math.floor(at + half));
    let sum = 0;
    for (let index = first; index <= last; index += 1) {
      const place = Math.abs(index - at) * cutoff * STEPS_PER_CROSSING;
      const below = Math.min(Math.floor(place), KERNEL.length - 2);
      const low = KERNEL[below] as number;
      sum += (input[index] as number) * (low + ((KERNEL[below + 1] as number) - low) * (place - below));
    }
    return sum * cutoff;
  }
}

/** Return the root mean square of samples. */
export function rootMeanSquare(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length ? Math.sqrt(sum / samples.length) : 0;
}
