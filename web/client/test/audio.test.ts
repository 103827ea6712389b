import { describe, expect, it, vi } from "vitest";
import { AudioBacklog } from "../src/audio/backlog.js";
import { PieceCutter } from "../src/audio/piece-cutter.js";
import type { Piece } from "../src/audio/player.js";
import { Player } from "../src/audio/player.js";
import { Resampler, rootMeanSquare } from "../src/audio/resampler.js";
import { Voice } from "../src/audio/voice.js";
import { ready, World } from "./world.js";

function tone(hertz: number, rate: number, seconds: number): Float32Array {
  return Float32Array.from({ length: Math.round(rate * seconds) }, (_, index) => 0.5 * Math.sin((2 * Math.PI * hertz * index) / rate));
}

function resampleInBlocks(resampler: Resampler, samples: Float32Array, size: number): Float32Array {
  const blocks: number[] = [];
  for (let at = 0; at < samples.length; at += size) blocks.push(...resampler.push(samples.subarray(at, at + size)));
  return Float32Array.from(blocks);
}

/** Return the share of the energy at one frequency. */
function energyShare(samples: Float32Array, hertz: number, rate: number): number {
  let cosine = 0;
  let sine = 0;
  samples.forEach((sample, index) => {
    cosine += sample * Math.cos((2 * Math.PI * hertz * index) / rate);
    sine += sample * Math.sin((2 * Math.PI * hertz * index) / rate);
  });
  return (2 * (cosine ** 2 + sine ** 2)) / samples.length / samples.reduce((sum, sample) => sum + sample ** 2, 0);
}

describe("a change of the rate", () => {
  it.each([[48_000, 16_000], [44_100, 24_000], [24_000, 48_000], [16_000, 44_100], [24_000, 24_000]])(
    "from %i to %i keeps tones and their length",
    (from, to) => {
      const samples = resampleInBlocks(new Resampler(from, to), tone(1000, from, 1), 128);
      expect(Math.abs(samples.length - to)).toBeLessThan(to / 100);
      const middle = samples.subarray(1000, samples.length - 1000);
      expect(energyShare(middle, 1000, to)).toBeGreaterThan(0.999);
      expect(rootMeanSquare(middle)).toBeCloseTo(0.5 / Math.SQRT2, 2);
    },
  );

  it("lets nothing through that the lower rate cannot carry", () => {
    const samples = resampleInBlocks(new Resampler(48_000, 16_000), tone(11_000, 48_000, 0.5), 128);
    expect(rootMeanSquare(samples.subarray(500))).toBeLessThan(0.001);
  });

  it("does not depend on how the stream is cut", () => {
    const samples = tone(700, 44_100, 0.3);
    const whole = new Resampler(44_100, 16_000).push(samples);
    const cut = resampleInBlocks(new Resampler(44_100, 16_000), samples, 77);
    expect(Math.max(...whole.map((value, index) => Math.abs(value - (cut[index] ?? 0))))).toBeLessThan(1e-5);
  });
});

it("cuts the microphone's sound into pieces of 100 ms and does not overflow", () => {
  const pieces = new PieceCutter(48_000, 16_000);
  const made = [];
  for (let block = 0; block < 375; block += 1) made.push(...pieces.push(new Float32Array(128).fill(1.5)));
  expect(made.map(({ length }) => length)).toEqual(Array(9).fill(1600));
  expect(made[3]?.every((sample) => sample === 32767)).toBe(true);
});

describe("the player", () => {
  const RATE = 24_000;
  const frame = (seq: number, ms = 100, epoch = 7) => ({ epoch, seq, rate: RATE, pcm: new Int16Array((RATE * ms) / 1000).fill(16384) });
  const pull = (player: Player, ms: number): Float32Array => {
    const heard: number[] = [];
    const block = new Float32Array(120); // 5 ms
    for (let at = 0; at < ms; at += 5) {
      player.pull(block);
      heard.push(...block);
    }
    return Float32Array.from(heard);
  };

  it("begins when there is enough, and plays without a hole", () => {
    const player = new Player(RATE);
    player.push(frame(1, 50));
    expect(rootMeanSquare(pull(player, 50))).toBe(0);
    player.push(frame(2, 50));
    const heard = pull(player, 100);
    expect(heard.every((sample) => sample === 0.5)).toBe(true);
    expect(player.heardPosition()).toEqual({ epoch: 7, seq: 2, ms: 50 });
  });

  it("plays what is shorter than its lead after 120 ms", () => {
    const player = new Player(RATE);
    player.push(frame(1, 20));
    expect(rootMeanSquare(pull(player, 115))).toBe(0);
    expect(rootMeanSquare(pull(player, 20))).toBeGreaterThan(0);
  });

  it("falls silent within 30 ms, says how far it came, and plays nothing of what waited", () => {
    const player = new Player(RATE);
    for (let seq = 1; seq <= 5; seq += 1) player.push(frame(seq));
    pull(player, 150);
    expect(player.stop()).toEqual({ epoch: 7, seq: 2, ms: 50 });
    const after = pull(player, 300);
    expect(rootMeanSquare(after.subarray(0, (RATE * 5) / 1000))).toBeGreaterThan(0);
    expect(rootMeanSquare(after.subarray((RATE * 30) / 1000))).toBe(0);
    player.push(frame(9, 100, 8));
    pull(player, 60);
    expect(player.heardPosition()?.epoch).toBe(8);
  });

  it("counts as played only what has come to the ear", () => {
    const player = new Player(RATE);
    for (let seq = 1; seq <= 3; seq += 1) player.push(frame(seq));
    pull(player, 150);
    expect(player.heardPosition(20)).toEqual({ epoch: 7, seq: 2, ms: 30 });
    expect(player.heardPosition(80)).toEqual({ epoch: 7, seq: 1, ms: 70 });
    expect(player.heardPosition(200)).toBeUndefined();
    pull(player, 400); // it has run dry, 250 ms ago
    expect(player.stop(180)).toEqual({ epoch: 7, seq: 3, ms: 100 });
    expect(player.heardPosition(5_000)).toEqual(player.heardPosition(1_000));
  });

  it("fades when it runs dry in the middle of a sound, and when it is stopped then", () => {
    const player = new Player(RATE);
    player.push(frame(1, 102));
    const heard = [...pull(player, 105)];
    player.stop();
    heard.push(...pull(player, 50));
    const steps = heard.slice(1).map((sample, index) => Math.abs(sample - (heard[index] as number)));
    expect(Math.max(...steps)).toBeLessThan(0.01);
    expect(heard.filter((sample) => sample === 0.5)).toHaveLength((RATE * 102) / 1000);
    expect(player.heardPosition(100)).toEqual({ epoch: 7, seq: 1, ms: 55 });
  });

  it("has nothing to say before it has played", () => {
    const player = new Player(RATE);
    expect(player.heardPosition()).toBeUndefined();
    expect(player.stop()).toBeUndefined();
  });
});

describe("a loudspeaker that the browser has suspended", () => {
  const sound = (seq: number, ms = 100): Piece => ({ epoch: 1, seq, rate: 16_000, pcm: new Int16Array(16 * ms) });

  it("has the newest ten seconds wait, and no more", () => {
    const held = new AudioBacklog();
    for (let seq = 1; seq <= 150; seq += 1) held.push(sound(seq));
    const taken = held.take();
    expect([taken[0]?.seq, taken.at(-1)?.seq, taken.length]).toEqual([51, 150, 100]);
    expect(held.take()).toEqual([]);
    held.push(sound(151, 20_000));
    expect(held.take().map(({ seq }) => seq)).toEqual([151]); // one alone stays whole
  });

  it("is given nothing until it runs, then what was kept, and nothing from before a barge-in", async () => {
    const posted: { piece?: Piece; stop?: number }[] = [];
    const context = Object.assign(new EventTarget(), {
      state: "suspended",
      audioWorklet: { addModule: async () => undefined },
      resume: async () => undefined,
      destination: {},
    });
    vi.stubGlobal("AudioWorkletNode", class {
      readonly port = { postMessage: (message: object) => posted.push(message), onmessage: undefined };
      connect(): void { /* to the loudspeaker */ }
    });
    vi.stubGlobal("document", new EventTarget());
    const world = new World();
    const { conversation } = await world.connect();
    const voice = new Voice(conversation, context as unknown as AudioContext, { captureUrl: "c", playbackUrl: "p", microphone: false });
    await voice.start();
    const audio = (seq: number): object => ({ type: "audio", epoch: 1, seq, audio: "AAA=", rate: 16_000 });

    await world.socket.deliver(ready(1), audio(2), { type: "barge_in", epoch: 1, seq: 3 }, audio(4), audio(5));
    expect(posted.map(({ piece, stop }) => piece?.seq ?? `stop ${stop ?? ""}`)).toEqual(["stop 1"]);
    context.state = "running";
    context.dispatchEvent(new Event("statechange"));
    await world.socket.deliver(audio(6));
    expect(posted.slice(1).map(({ piece }) => piece?.seq)).toEqual([4, 5, 6]);
    vi.unstubAllGlobals();
  });
});

it("keeps no more than five minutes of sound that are still to be played", () => {
  const player = new Player(8_000);
  for (let seq = 1; seq <= 310; seq += 1) player.push({ epoch: 1, seq, rate: 8_000, pcm: new Int16Array(8_000).fill(9_000) });
  player.pull(new Float32Array(800));
  expect(player.heardPosition()).toEqual({ epoch: 1, seq: 11, ms: 100 });
});
