import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { MARKER, SilenceGate, isLoud } from "../src/core/silence.js";
import { ready, settle, World } from "./world.js";

const RATE = 16_000;
const piece = (level: number, milliseconds = 100): Uint8Array =>
  new Uint8Array(new Int16Array((RATE * milliseconds) / 1000).fill(level).buffer);
const loud = piece(1_000);
const quiet = piece(100);
const AUDIO = {
  input: { rate: RATE, channels: 1, format: "pcm" },
  output: { rate: 24_000, channels: 1, format: "pcm" },
};

test("a second of quiet still goes, then a marker at once and one every 2 s", () => {
  const gate = new SilenceGate();
  gate.take(loud, RATE, true);
  const sent = Array.from({ length: 60 }, () => gate.take(quiet, RATE, true).map((one) => (one === MARKER ? "marker" : "audio")));

  expect(sent.slice(0, 10)).toEqual(Array(10).fill(["audio"]));
  expect(sent.slice(10).flatMap((one, index) => one.map((what) => [index, what]))).toEqual([
    [0, "marker"],
    [20, "marker"],
    [40, "marker"],
  ]);
});

test("the last 300 ms that were not sent go before the first loud piece", () => {
  const gate = new SilenceGate();
  for (let count = 0; count < 10; count += 1) gate.take(quiet, RATE, true);
  for (let level = 1; level <= 8; level += 1) gate.take(piece(level), RATE, true);
  const sent = gate.take(loud, RATE, true) as Uint8Array[];

  const whole = Buffer.concat(sent);
  expect(whole.length).toBe(4 * quiet.length);
  const levels = [...new Set(new Int16Array(new Uint8Array(whole).buffer))];
  expect(levels).toEqual([6, 7, 8, 1_000]);
  for (const one of sent) expect(one.length).toBeGreaterThanOrEqual(2 * 0.02 * RATE);
});

test("without the holder's word real frames go again, pre-roll first", () => {
  const gate = new SilenceGate();
  for (let count = 0; count < 20; count += 1) gate.take(quiet, RATE, true);

  expect(gate.take(quiet, RATE, false)).toHaveLength(3);
  expect(gate.take(quiet, RATE, false)).toEqual([quiet]);
});

test("audio kept by a closed microphone is not sent", () => {
  const gate = new SilenceGate();
  for (let count = 0; count < 20; count += 1) gate.take(quiet, RATE, true);
  gate.reset();

  expect(gate.take(loud, RATE, true)).toEqual([loud]);
});

test.each([
  [["silence"], undefined, 10],
  [["silence"], "send" as const, 0],
  [[], undefined, 0],
])("markers are numbered input, if the holder (%s) and the program (%s) want them", async (features, silence, from) => {
  const world = new World();
  const { conversation } = await world.connect({ silence });
  await world.socket.deliver(ready(1, 1, { features, audio: AUDIO }));
  for (let count = 0; count < 11; count += 1) {
    conversation.sendAudio(new Int16Array(quiet.buffer));
    await settle();
  }
  const frames = world.socket.of("audio");

  expect(frames.map((frame) => frame.seq)).toEqual(Array.from({ length: 11 }, (_, index) => index + 1));
  expect(frames.findIndex((frame) => frame.silence)).toBe(from || -1);
});

test("a microphone that is muted after a word ends the utterance with what is lacking of a second of quiet", () => {
  const gate = new SilenceGate();
  expect(gate.end(RATE)).toEqual([]); // nothing was said
  gate.take(loud, RATE, true);
  for (let count = 0; count < 3; count += 1) gate.take(quiet, RATE, true);
  expect(gate.end(RATE)).toEqual(Array(7).fill(piece(0)));
  expect(gate.end(RATE)).toEqual([]);
  gate.take(loud, RATE, true);
  for (let count = 0; count < 10; count += 1) gate.take(quiet, RATE, true);
  expect(gate.end(RATE)).toEqual([]); // the provider has heard the end
  gate.take(loud, RATE, false);
  expect(gate.end(RATE)).toHaveLength(10);
});

test("endAudio sends it, and nothing once the conversation is closed", async () => {
  const world = new World();
  const { conversation } = await world.connect();
  await world.socket.deliver(ready(1, 1, { features: ["silence"], audio: AUDIO }));
  conversation.sendAudio(new Int16Array(loud.buffer));
  conversation.endAudio();
  await settle();
  expect(world.socket.of("audio").map((frame) => frame.seq)).toEqual(Array.from({ length: 11 }, (_, index) => index + 1));
  conversation.sendAudio(new Int16Array(loud.buffer));
  void conversation.close();
  expect(() => { conversation.endAudio(); }).not.toThrow();
});

const PIECES = JSON.parse(readFileSync(new URL("../../../tests/conformance/loudness.json", import.meta.url), "utf8")) as {
  about: string;
  samples: number[];
  loud: boolean;
}[];

test.each(PIECES)("is loud or not, as for the Python client: $about", ({ samples, loud: expected }) => {
  expect(isLoud(new Uint8Array(new Int16Array(samples).buffer))).toBe(expected);
});
