import { beforeEach, describe, expect, test } from "vitest";
import { ready, transcript, settle, World } from "./world.js";

let world: World;
beforeEach(() => {
  world = new World();
});

describe("played", () => {
  const audio = (epoch: number, seq: number): object => ({ type: "audio", epoch, seq, audio: "AAAA", rate: 24_000 });

  test("goes at once when the player has stopped after a barge-in", async () => {
    const { conversation } = await world.connect();
    await world.socket.deliver(ready(3, 1, { features: ["played"] }), audio(3, 2), { type: "barge_in", epoch: 3, seq: 3 });
    conversation.played({ epoch: 3, seq: 2, ms: 12.4 }, { stopped: true });
    await settle();

    expect(world.socket.of("ack")).toEqual([{ type: "ack", epoch: 3, seq: 3, played: { seq: 2, ms: 12 } }]);
  });

  test("goes with the ordinary acknowledgement, and counts only for its own epoch", async () => {
    const { conversation } = await world.connect();
    await world.socket.deliver(ready(3, 1, { features: ["played"] }), audio(3, 2), transcript(3, 3, 0));
    conversation.played({ epoch: 3, seq: 2, ms: 60 });
    await world.advance(1_000);
    await world.socket.deliver(ready(4, 1, { features: ["played"], since: 0, head: 1 }), transcript(4, 2, 1));
    await world.advance(1_000);

    expect(world.socket.of("ack").map((frame) => frame.played)).toEqual([
      { seq: 2, ms: 60 },
      { seq: 0, ms: 0 },
    ]);
  });

  test("is not said to a holder that does not know it, nor by a client without sound", async () => {
    const { conversation } = await world.connect();
    await world.socket.deliver(ready(3), audio(3, 2), transcript(3, 3, 0));
    conversation.played({ epoch: 3, seq: 2, ms: 60 }, { stopped: true });
    await world.advance(1_000);

    expect(world.socket.of("ack")).toEqual([{ type: "ack", epoch: 3, seq: 3 }]);
  });
});

describe("history", () => {
  const line = (record: number, more: object = {}): object => ({ record, role: "user", kind: "text", text: `line ${record}`, ...more });
  const page = (seq: number, records: number[], more: object = {}): object => ({
    type: "history",
    epoch: 1,
    seq,
    lines: records.map((record) => line(record)),
    more: false,
    ...more,
  });
  const shown = (events: readonly any[]): string[] =>
    events.flatMap((event) => (event.type === "history" ? event.lines.map((one: any) => one.text) : event.type === "transcript" ? [event.text] : []));
  const open = { features: ["history"], head: 3 };

  test("comes by itself, and its lines count as shown", async () => {
    const { conversation, events } = await world.connect({ history: true });
    expect(world.socket.of("hello")[0]).toMatchObject({ history: true });
    await world.socket.deliver(ready(1, 1, open), page(2, [0, 1, 2, 3]), { type: "history", epoch: 1, seq: 3, lines: [line(3), line(4)] });
    await world.advance(10_000);

    expect(shown(events)).toEqual(["line 0", "line 1", "line 2", "line 3", "line 4"]);
    expect(conversation.lastRecord).toBe(4);
    expect(world.socket.of("history")).toEqual([]);
  });

  test("is asked for if it does not come, and again", async () => {
    await world.connect({ history: true });
    await world.socket.deliver(ready(1, 1, open));
    await world.advance(6_500);

    expect(world.socket.of("history")).toEqual([
      { type: "history", last_record: 2 },
      { type: "history", last_record: 2 },
    ]);
  });

  test("goes back page by page", async () => {
    const { conversation, events } = await world.connect({ history: true });
    await world.socket.deliver(ready(1, 1, { ...open, head: 9 }), page(2, [6, 7, 8], { more: true }));
    const older = conversation.history();
    await settle();
    expect(world.socket.of("history")).toEqual([{ type: "history", before: 6, last_record: 8 }]);
    await world.socket.deliver(page(3, [4, 8, 5], { before: 6, more: true })); // 8 was redacted: its record is a later one
    expect((await older).lines.map((one) => one.record)).toEqual([4, 8, 5]);
    await world.socket.deliver(page(4, [4, 8, 5], { before: 6, more: true })); // asked for twice, and answered twice
    const oldest = conversation.history();
    await settle();
    expect(world.socket.of("history").at(-1)).toMatchObject({ before: 4 });
    await world.socket.deliver(page(5, [0, 1], { before: 4 }));
    expect((await oldest).more).toBe(false);

    expect(shown(events)).toEqual(["line 6", "line 7", "line 8", "line 4", "line 8", "line 5", "line 0", "line 1"]);
  });

  test("is shown once, whether a line came in a page or live", async () => {
    const { conversation, events } = await world.connect({ history: true });
    await world.socket.deliver(ready(1, 1, { ...open, head: 0 }), transcript(1, 2, 0));
    const again = conversation.history({ before: undefined });
    await settle();
    await world.socket.deliver({ ...page(3, []), lines: [{ record: 0, role: "assistant", kind: "transcript", text: "said 0" }, line(1)] });
    await again;
    await world.socket.deliver(ready(1, 4, { ...open, since: 0 }), transcript(1, 5, 0), { type: "history", epoch: 1, seq: 6, lines: [line(1)] });

    expect(shown(events)).toEqual(["said 0", "line 1"]);
  });

  test("a page after a gap moves nothing on: what is missing still comes", async () => {
    const { conversation, events } = await world.connect({ history: true });
    await world.socket.deliver(ready(1, 1, { ...open, head: 0 }), page(2, []));
    const again = conversation.history();
    await settle();
    await world.socket.deliver(page(4, [1])); // 3, which showed record 0, is lost
    await world.advance(600);
    await again;
    expect(conversation.lastRecord).toBe(-1);
    await world.socket.deliver(ready(1, 5, { ...open, since: -1 }), transcript(1, 6, 0), { type: "history", epoch: 1, seq: 7, lines: [line(1)] });

    expect(shown(events)).toEqual(["line 1", "said 0"]);
  });
});
