import { afterAll, beforeEach, expect, it, vi } from "vitest";
import type { Conversation } from "../../client/src/index.js";
import { Sound } from "../src/sound.js";

interface Opened {
  readonly microphone: boolean;
  closed: boolean;
}

// Test files share a process and its modules: other files' modules are not used here, and these are not left to them.
vi.hoisted(() => vi.resetModules());
vi.stubGlobal("navigator", {});
afterAll(() => {
  vi.unstubAllGlobals();
  for (const path of MOCKED) vi.doUnmock(path);
  vi.resetModules();
});

const opened: Opened[] = [];
/** Answer the browser's question for the microphone. */
let answer: (allowed: boolean) => void;

const MOCKED = ["capture.worklet.ts?worker&url", "playback.worklet.ts?worker&url", "index.js"].map((name) => `../../client/src/audio/${name}`);
vi.mock("../../client/src/audio/capture.worklet.ts?worker&url", () => ({ default: "capture" }));
vi.mock("../../client/src/audio/playback.worklet.ts?worker&url", () => ({ default: "playback" }));
vi.mock("../../client/src/audio/index.js", async (original) => ({
  ...(await original<object>()),
  openVoice: async (_: unknown, { microphone }: { microphone: boolean }) => {
    if (microphone) {
      const allowed = await new Promise<boolean>((resolve) => { answer = resolve; });
      if (!allowed) throw new Error("denied");
    }
    const one: Opened = { microphone, closed: false };
    opened.push(one);
    return { on: () => undefined, mute: () => undefined, devices: async () => ({ microphones: [], speakers: [] }), close: async () => { one.closed = true; } };
  },
}));

const turns = async (): Promise<void> => { for (let turn = 0; turn < 50; turn += 1) await Promise.resolve(); };
const open = (): Opened[] => opened.filter(({ closed }) => !closed);
let sound: Sound;

beforeEach(() => {
  opened.length = 0;
  sound = new Sound({} as Conversation, () => undefined);
});

it("gives a microphone back that is allowed after the conversation was left", async () => {
  const talking = sound.startTalking();
  await turns();
  await sound.close();
  answer(true);
  await talking;

  expect(open()).toEqual([]);
  expect(sound.microphone.value).toBe("off");
  await sound.playAnswers();
  expect(open()).toEqual([]);
});

it("keeps the microphone when something is typed while the user is asked for it", async () => {
  const talking = sound.startTalking();
  await turns();
  const typing = sound.playAnswers();
  await turns();
  answer(true);
  await Promise.all([talking, typing]);

  expect(open()).toEqual([{ microphone: true, closed: false }]);
  expect(sound.microphone.value).toBe("on");
});

it("plays answers once when the microphone is denied", async () => {
  const talking = sound.startTalking();
  await turns();
  const typing = sound.playAnswers();
  answer(false);
  await Promise.all([talking, typing]);

  expect(open()).toEqual([{ microphone: false, closed: false }]);
});
