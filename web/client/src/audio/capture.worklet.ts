// The microphone's end: pieces of PCM16 and its level, to the page.
import { Pieces } from "./piece-cutter.js";
import { loudness } from "./resampler.js";
import { REPORTS_A_SECOND, scope } from "./worklet-scope.js";

class Capture extends scope.AudioWorkletProcessor {
  private pieces: Pieces | undefined;
  private level = 0;
  private since = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<{ rate?: number }>) => {
      if (data.rate !== undefined) this.pieces = new Pieces(scope.sampleRate, data.rate);
    };
  }

  process([channels]: Float32Array[][]): boolean {
    const samples = mixed(channels ?? []);
    if (!samples) return true;
    this.report(samples);
    for (const piece of this.pieces?.push(samples) ?? []) this.port.postMessage({ piece }, [piece.buffer]);
    return true;
  }

  private report(samples: Float32Array): void {
    this.level = Math.max(this.level, loudness(samples));
    this.since += samples.length;
    if (this.since < scope.sampleRate / REPORTS_A_SECOND) return;
    this.port.postMessage({ level: this.level });
    this.level = 0;
    this.since = 0;
  }
}

function mixed(channels: Float32Array[]): Float32Array | undefined {
  const [first, ...more] = channels;
  if (!first || !more.length) return first;
  return first.map((sample, index) => more.reduce((sum, channel) => sum + (channel[index] ?? 0), sample) / channels.length);
}

scope.registerProcessor("segue-capture", Capture);
