// Renewals: the next connection is opened beside the present one when its worker says so or does not answer.
import { beforeEach, describe, expect, test } from "vitest";
import { Retries } from "../src/core/retries.js";
import { DEFAULTS } from "../src/index.js";
import { binary, type FakeSocket, ready, World } from "./world.js";

let world: World;
beforeEach(() => {
  world = new World();
});

const DIRECT = { features: ["direct", "binary"], window: 16 };
const received = (seq: number, upto: number): object => ({ type: "received", epoch: 1, seq, upto, beyond: [] });

/** A conversation over a direct connection. */
async function connectDirectly(answer: object = ready(1, 1, DIRECT)): Promise<Awaited<ReturnType<World["connect"]>>> {
  const talk = await world.connect();
  await world.socket.deliver(answer);
  return talk;
}

describe("reconnect", () => {
  test("opens the next connection beside the present one, and is no event", async () => {
    const { conversation, events } = await connectDirectly();
    const [old] = world.sockets;
    await old!.deliver({ type: "reconnect" });
    await world.advance(0);

    expect(world.sockets).toHaveLength(2);
    expect(world.socket.of("hello")).toMatchObject([{ connection: 2, last_record: -1 }]);
    conversation.sendText("over the old one");
    await world.advance(0);
    expect(old!.of("text")).toMatchObject([{ seq: 1 }]);
    await world.socket.deliver(ready(1, 2, { ...DIRECT, since: -1 }));
    conversation.sendText("over the new one");
    await world.advance(0);
    expect(world.socket.of("text")).toMatchObject([{ seq: 2 }]);
    expect(events.map(({ type }) => type)).toEqual(["ready", "ready"]);
    await world.advance(1_000);
    expect(old!.closed).toBe(true);
  });

  test("waits for its time, and means one connection however often it is said", async () => {
    await connectDirectly();
    await world.socket.deliver({ type: "reconnect", after_ms: 3_000 }, { type: "reconnect", after_ms: 400 });
    await world.advance(399);
    expect(world.sockets).toHaveLength(1);
    await world.advance(1);
    expect(world.sockets).toHaveLength(2);
    await world.socket.deliver({ type: "pong" });
    await world.sockets[0]!.deliver({ type: "reconnect" });
    await world.advance(3_000);
    expect(world.sockets).toHaveLength(2);
  });

  test("over a renewal that is not ready yet opens one more", async () => {
    await connectDirectly();
    await world.socket.deliver({ type: "reconnect" });
    await world.advance(0);
    await world.socket.deliver({ type: "reconnect" });
    await world.advance(0);

    expect(world.sockets).toHaveLength(3);
    expect(world.sockets[0]!.closed).toBe(false);
  });
});

describe("a handshake that nothing answers", () => {
  test.each([
    ["after a direct connection", DIRECT, 1_500],
    ["after another", {}, 10_000],
  ])("is given up %s", async (_name, answer, limit) => {
    let opens = true;
    const admit = (socket: FakeSocket): void => {
      if (opens) socket.open();
    };
    await world.connect({ WebSocket: world.constructorOf(admit) });
    await world.socket.deliver(ready(1, 1, answer));
    opens = false;
    world.socket.breakOff();
    await world.advance(250);
    expect(world.sockets).toHaveLength(2);
    const [, silent] = world.sockets;
    await world.advance(limit - 1);
    expect(silent!.closed).toBe(false);
    await world.advance(1);
    expect(silent!.closed).toBe(true);
  });
});

describe("silence", () => {
  test("of a direct connection opens the next one beside it", async () => {
    const { conversation } = await connectDirectly();
    conversation.sendText("hello?");
    await world.advance(1_499);
    expect(world.sockets).toHaveLength(1);
    await world.advance(1);
    expect(world.sockets).toHaveLength(2);
    await world.socket.deliver(ready(1, 2, { ...DIRECT, since: -1 }));
    await world.advance(0);
    expect(world.socket.of("text")).toMatchObject([{ seq: 1 }]);
  });

  test("is ended by a confirmation, or by any other word of the holder", async () => {
    const { conversation } = await connectDirectly();
    conversation.sendText("hello?");
    await world.advance(1_000);
    await world.socket.deliver({ type: "error", code: "busy", message: "later", retryable: true }, { type: "pong" });
    await world.advance(1_400);
    expect(world.sockets).toHaveLength(1);
    await world.socket.deliver(received(2, 1));
    await world.advance(9_000);
    expect(world.sockets).toHaveLength(1);
  });

  test.each([
    ["of a gateway", { window: 16 }],
    ["of a holder that confirms nothing", { features: ["direct"] }],
  ])("%s opens none", async (_, more) => {
    const { conversation } = await connectDirectly(ready(1, 1, more));
    conversation.sendText("hello?");
    await world.advance(9_000);
    expect(world.sockets).toHaveLength(1);
  });

  test("after a hello opens the next one beside it, unless the worker says pong", async () => {
    await connectDirectly();
    await world.socket.deliver({ type: "moved", epoch: 1, seq: 2 });
    await world.advance(DEFAULTS.helloInterval);
    expect(world.socket.sent.map(({ type }) => type as string)).toEqual(["hello", "hello", "ping"]);
    await world.advance(1_400);
    await world.socket.deliver({ type: "pong" });
    await world.advance(2_099);
    expect(world.sockets).toHaveLength(1);
    await world.advance(1);
    expect(world.sockets).toHaveLength(2);
    expect(world.socket.sent.map(({ type }) => type as string)).toEqual(["hello", "ping"]);
  });

  test("is given no more time by a client that only listens, once a worker has answered", async () => {
    await connectDirectly();
    await world.socket.deliver({ type: "moved", epoch: 1, seq: 2 });
    await world.advance(DEFAULTS.helloInterval + 1_500);
    expect(world.sockets).toHaveLength(2);
    await world.socket.deliver({ type: "pong" }, ready(2, 1, { ...DIRECT, since: -1 }));
    await world.socket.deliver({ type: "moved", epoch: 2, seq: 2 });
    await world.advance(DEFAULTS.helloInterval + 1_499);
    expect(world.sockets).toHaveLength(2);
    await world.advance(1);
    expect(world.sockets).toHaveLength(3);
  });

  test("after an ack before the hello is none: nothing answers that", async () => {
    await connectDirectly();
    await world.socket.deliver({ type: "text", epoch: 1, seq: 2, text: "x", record: 0 });
    await world.advance(800);
    await world.socket.deliver({ type: "moved", epoch: 1, seq: 3 });
    await world.advance(DEFAULTS.helloInterval);
    expect(world.socket.sent.map(({ type }) => type as string)).toEqual(["hello", "ack", "hello", "ping"]);
    await world.advance(1_499);
    expect(world.sockets).toHaveLength(1);
    await world.advance(1);
    expect(world.sockets).toHaveLength(2);
  });

  test("after a hello to a gateway opens none", async () => {
    await connectDirectly(ready(1, 1, { window: 16 }));
    await world.socket.deliver({ type: "moved", epoch: 1, seq: 2 });
    await world.advance(9_000);
    expect(world.socket.of("ping")).toHaveLength(0);
    expect(world.sockets).toHaveLength(1);
  });

  test("is given twice the time when it comes again", async () => {
    const { conversation } = await connectDirectly();
    conversation.sendText("hello?");
    await world.advance(1_500);
    await world.socket.deliver(ready(1, 2, { ...DIRECT, since: -1 }));
    await world.advance(2_999);
    expect(world.sockets).toHaveLength(2);
    await world.advance(1);
    expect(world.sockets).toHaveLength(3);
  });
});

describe("binary messages", () => {
  test("carry audio where the connection takes them", async () => {
    const { conversation } = await connectDirectly();
    expect(world.socket.of("hello")).toMatchObject([{ binary: true }]);
    conversation.sendAudio(new Uint8Array([1, 2, 3, 4]));
    await world.advance(0);

    expect(world.socket.of("audio")).toEqual([{ type: "audio", seq: 1, samples: [1, 2, 3, 4] }]);
  });

  test("carry none elsewhere", async () => {
    const { conversation } = await connectDirectly(ready(1));
    conversation.sendAudio(new Uint8Array([1, 2, 3, 4]));
    await world.advance(0);

    expect(world.socket.of("audio")).toEqual([{ type: "audio", seq: 1, audio: "AQIDBA==" }]);
  });

  test("are read like others, and what is none is left out", async () => {
    const { events } = await connectDirectly();
    const audio = { type: "audio", epoch: 1, seq: 2, rate: 8_000 };
    await world.socket.deliver(
      binary(audio, [1, 2, 3]),
      binary({ ...audio, rate: 0 }, [1, 2]),
      binary({ ...audio, type: "text" }, [1, 2]),
      new Uint8Array([0]).buffer,
      new Uint8Array([255, 255, 1]).buffer,
      binary(audio, [1, 2]),
    );

    expect(events.slice(1)).toEqual([{ ...audio, audio: "AQI=" }]);
  });
});

describe("a handshake that nothing answers", () => {
  test.each([
    ["is given up sooner after a direct connection, the first of them at once", DIRECT, [1_500, 3_000, 3_000]],
    ["has its time elsewhere", {}, [10_000, 10_000, 10_000]],
  ])("%s", async (_, more, given) => {
    let answered = true;
    await world.connect({ WebSocket: world.constructorOf((socket) => answered && socket.open()) });
    await world.socket.deliver(ready(1, 1, more));
    answered = false;
    await world.socket.closeByServer(1012);
    await world.advance(0);
    for (const [times, milliseconds] of given.entries()) {
      expect(world.sockets).toHaveLength(2 + times);
      await world.advance(milliseconds - 1);
      expect(world.socket.closed).toBe(false);
      await world.advance(1);
      expect(world.socket.closed).toBe(true);
      await world.advance(DEFAULTS.firstBackoff * 2 ** times);
    }
  });
});

describe("a worker that ends or is full", () => {
  test.each([1012, 1013])("is left at once, twice in a row (%i)", (code) => {
    const retries = new Retries(DEFAULTS, () => 1);

    expect([1, 2, 3, 4].map(() => retries.pause(code))).toEqual([0, 0, 250, 500]);
    retries.succeeded();
    expect([1, 2, 3].map(() => retries.pause(code))).toEqual([0, 0, 250]);
  });

  test.each([undefined, 1000, 1001, 1006, 1011])("is not one that breaks (%s)", (code) => {
    expect(new Retries(DEFAULTS, () => 1).pause(code)).toBe(250);
  });

  test("may be the one that the next connection leads to: the present one goes on", async () => {
    const { conversation } = await connectDirectly();
    await world.socket.deliver({ type: "reconnect" });
    await world.advance(0);
    await world.socket.closeByServer(1013);
    await world.advance(0);
    expect(world.sockets).toHaveLength(3);
    await world.socket.closeByServer(1013);
    await world.advance(0);
    expect(world.sockets).toHaveLength(4);
    await world.socket.closeByServer(1013);
    await world.advance(249);
    expect(world.sockets).toHaveLength(4);
    expect(conversation.state).toBe("ready");
    await world.advance(1);
    expect(world.sockets).toHaveLength(5);
  });

  /** Have the present worker say that it ends, and three others refuse; a pause follows the third. */
  async function refusedThrice(): Promise<void> {
    await world.socket.deliver({ type: "reconnect" });
    for (let times = 0; times < 3; times += 1) {
      await world.advance(0);
      await world.socket.closeByServer(1013);
    }
    await world.advance(0);
  }

  test("counts for nothing once a holder has said ready", async () => {
    await connectDirectly();
    for (let round = 1; round <= 6; round += 1) {
      await refusedThrice();
      expect(world.sockets).toHaveLength(4 * round);
      await world.advance(250);
      expect(world.sockets).toHaveLength(4 * round + 1);
      await world.socket.deliver(ready(1, 2 * round, { ...DIRECT, since: -1 }));
    }
  });

  test("is not waited for once the connection that it was to replace has ended", async () => {
    await connectDirectly();
    await refusedThrice();
    await world.sockets[0]!.closeByServer(1012);
    await world.advance(0);
    expect(world.sockets).toHaveLength(5);
  });

  test("leaves the pause after a break as short as the first", async () => {
    await connectDirectly();
    await refusedThrice();
    for (let attempt = 0; attempt < 4; attempt += 1) {
      await world.advance(250 * 2 ** attempt);
      await world.socket.closeByServer(1013);
    }
    const before = world.sockets.length;
    await world.sockets[0]!.closeByServer(1006);
    await world.advance(249);
    expect(world.sockets).toHaveLength(before);
    await world.advance(1);
    expect(world.sockets).toHaveLength(before + 1);
  });

  test("closes with 1012, and the client is back at once", async () => {
    await connectDirectly();
    await world.socket.closeByServer(1012);
    await world.advance(0);
    expect(world.sockets).toHaveLength(2);
  });
});
