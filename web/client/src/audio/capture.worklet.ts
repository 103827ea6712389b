// Worklet of the microphone: sends PCM16 pieces and their level to the page.
import { PieceCutter } from "./piece-cutter.js";
import { rootMeanSquare } from "./resampler.js";
import { REPORTS_A_SECOND, scope } from "./worklet-scope.js";

class Capture extends scope.AudioWorkletProcessor {
  private cutter: PieceCutter | undefined;
  private level = 0;
  private samplesSinceReport = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<{ rate?: number }>) => {
      if (data.rate !== undefined) this.cutter = new PieceCutter(scope.sampleRate, data.rate);
    };
  }

  process([channels]: Float32Array[][]): boolean {
    const samples = mixToMono(channels ?? []);
    if (!samples) return true;
    this.reportLevel(samples);
    for (const piece of this.cutter?.push(samples) ?? []) this.port.postMessage({ piece }, [piece.buffer]);
    return true;
  }

  private reportLevel(samples: Float32Array): void {
    this.level = Math.max(this.level, rootMeanSquare(samples));
    this.samplesSinceReport += samples.length;
    if (this.samplesSinceReport < scope.sampleRate / REPORTS_A_SECOND) return;
    this.port.postMessage({ level: this.level });
    this.level = 0;
    this.samplesSinceReport = 0;
  }
}

function mixToMono(channels: Float32Array[]): Float32Array | undefined {
  const [first, ...more] = channels;
  if (!first || !more.length) return first;
  return first.map((sample, index) => more.reduce((sum, channel) => sum + (channel[index] ?? 0), sample) / channels.length);
}

scope.registerProcessor("segue-capture", Capture);
