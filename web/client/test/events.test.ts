import { describe, expect, test } from "vitest";
import { EventsNotRead } from "../src/index.js";
import { EventBuffer } from "../src/events.js";
import { ready, transcript, settle, World } from "./world.js";

const audio = (seq: number): any => ({ type: "audio", epoch: 1, seq, audio: "AAAA", rate: 24_000 });
const text = (record: number): any => ({ type: "text", epoch: 1, seq: record + 1, text: `text ${record}`, record });

async function read(buffer: EventBuffer): Promise<any[]> {
  buffer.end(undefined);
  const events = [];
  for await (const event of buffer) events.push(event);
  return events;
}

describe("events that wait to be read", () => {
  test("lose the oldest sound beyond the capacity, and nothing else", async () => {
    const buffer = new EventBuffer(3, 100, 1_000_000);
    for (let count = 0; count < 5; count += 1) {
      buffer.put(audio(count));
      buffer.put(text(count));
    }

    expect(buffer.dropped).toBe(5);
    expect((await read(buffer)).map((event) => event.text)).toEqual(["text 0", "text 1", "text 2", "text 3", "text 4"]);
  });

  test("end the client when what must not be lost is not read", () => {
    const buffer = new EventBuffer(3, 4, 1_000_000);
    for (let count = 0; count < 4; count += 1) buffer.put(text(count));

    expect(() => {
      buffer.put(text(4));
    }).toThrow(EventsNotRead);
  });

  test("are bounded in bytes as well", () => {
    const buffer = new EventBuffer(1_000, 1_000, 10_000);
    for (let count = 0; count < 100; count += 1) buffer.put({ ...audio(count), audio: "A".repeat(1_000) });

    expect(buffer.dropped).toBeGreaterThan(90);
  });

  test("that nothing iterates over are not kept", async () => {
    const world = new World();
    const { conversation } = await world.connect({ settings: { lastingCapacity: 2 } });
    await world.socket.deliver(ready(1), transcript(1, 2, 0), transcript(1, 3, 1), transcript(1, 4, 2), transcript(1, 5, 3));
    expect(conversation.state).toBe("ready");

    conversation.events();
    await world.socket.deliver(transcript(1, 6, 4), transcript(1, 7, 5), transcript(1, 8, 6));
    await world.advance(5_000);
    expect(conversation.failure).toBeInstanceOf(EventsNotRead);
  });
});

describe("a tab in the background", () => {
  /** A browser that runs timers once a minute. */
  class Throttled extends World {
    override later(milliseconds: number, call: () => void): () => void {
      return super.later(Math.ceil((this.time + milliseconds) / 60_000) * 60_000 - this.time, call);
    }
  }

  test("loses nothing, and keeps its connection", async () => {
    const world = new Throttled();
    const { conversation, events } = await world.connect();
    await world.socket.deliver(ready(1));
    conversation.sendText("one");
    await settle();
    expect(world.socket.of("text")).toHaveLength(1); // sent at once, without a timer
    for (let minute = 0; minute < 20; minute += 1) {
      await world.socket.deliver(transcript(1, minute + 2, minute));
      await world.advance(60_000);
      await world.socket.deliver({ type: "pong" });
    }

    expect(events.filter((event) => event.type === "transcript")).toHaveLength(20);
    expect(world.sockets).toHaveLength(1);
    expect(world.socket.of("ack").length).toBeGreaterThan(10);
    expect(conversation.state).toBe("ready");
  });
});
