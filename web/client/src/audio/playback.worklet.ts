// Worklet of the loudspeaker: plays frames from the page and reports the played position.
import type { Piece } from "./player.js";
import { Player } from "./player.js";
import { rootMeanSquare } from "./resampler.js";
import { REPORTS_A_SECOND, scope } from "./worklet-scope.js";

class Playback extends scope.AudioWorkletProcessor {
  private readonly player = new Player(scope.sampleRate);
  private level = 0;
  private samplesSinceReport = 0;
  /** Milliseconds from the worklet to the ear. */
  private latency = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<{ piece?: Piece; stop?: number; latency: number }>) => {
      this.latency = data.latency;
      if (data.piece) this.player.push(data.piece);
      if (data.stop !== undefined) this.port.postMessage({ stopped: data.stop, place: this.player.stop(data.latency) });
    };
  }

  process(_: Float32Array[][], [channels]: Float32Array[][]): boolean {
    const [first, ...more] = channels ?? [];
    if (!first) return true;
    this.player.pull(first);
    for (const channel of more) channel.set(first);
    this.level = Math.max(this.level, rootMeanSquare(first));
    this.samplesSinceReport += first.length;
    if (this.samplesSinceReport >= scope.sampleRate / REPORTS_A_SECOND) {
      this.port.postMessage({ level: this.level, place: this.player.heardPosition(this.latency) });
      this.level = 0;
      this.samplesSinceReport = 0;
    }
    return true;
  }
}

scope.registerProcessor("segue-playback", Playback);
