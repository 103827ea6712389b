import { expect, it } from "vitest";
import { Handoffs } from "../src/handoffs.js";

const audio = {};

it("measures a planned change from the farewell to the successor's ready", () => {
  const handoffs = new Handoffs();
  expect(handoffs.observe({ type: "ready", epoch: 7, audio }, 0)).toBeUndefined();
  expect(handoffs.observe({ type: "moved", epoch: 7 }, 1000)).toBeUndefined();
  expect(handoffs.observe({ type: "ack", epoch: 7 }, 1050)).toBeUndefined();
  expect(handoffs.observe({ type: "ready", epoch: 9, audio }, 1180.4)).toEqual({ from: 7, to: 9, gap: 180, planned: true });
  expect(handoffs.epoch).toBe(9);
});

it("measures a takeover from the last that was heard of the one before", () => {
  const handoffs = new Handoffs();
  handoffs.observe({ type: "ready", epoch: 7, audio }, 0);
  handoffs.observe({ type: "audio", epoch: 7 }, 2000);
  expect(handoffs.observe({ type: "ready", epoch: 8, audio }, 2400)).toEqual({ from: 7, to: 8, gap: 400, planned: false });
  handoffs.observe({ type: "moved", epoch: 8 }, 3000);
  expect(handoffs.observe({ type: "ready", epoch: 9, audio }, 3100)?.planned).toBe(true);
  expect(handoffs.changes.map(({ to }) => to)).toEqual([8, 9]);
});

it("takes no notice of frames without an epoch, and of late ones", () => {
  const handoffs = new Handoffs();
  handoffs.observe({ type: "ready", epoch: 7, audio }, 0);
  expect(handoffs.observe({ type: "pong" }, 5)).toBeUndefined();
  expect(handoffs.observe({ type: "audio", epoch: 5 }, 6)).toBeUndefined();
  expect(handoffs.epoch).toBe(7);
});

it("counts no turns of text, which have a holder each", () => {
  const handoffs = new Handoffs();
  for (const epoch of [1, 3, 5]) expect(handoffs.observe({ type: "ready", epoch }, epoch)).toBeUndefined();
  expect(handoffs.epoch).toBe(5);
  expect(handoffs.observe({ type: "ready", epoch: 7, audio }, 7)).toBeUndefined();
  expect(handoffs.observe({ type: "ready", epoch: 9, audio }, 9)?.from).toBe(7);
  expect(handoffs.observe({ type: "ready", epoch: 11 }, 11)).toBeUndefined();
});
