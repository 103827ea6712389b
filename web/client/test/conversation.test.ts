import { beforeEach, describe, expect, test } from "vitest";
import { ClientClosed, ConnectionLost, FrameError, HandshakeRefused, NotReady, SessionRefused } from "../src/index.js";
import { ready, transcript, settle, World } from "./world.js";

let world: World;
beforeEach(() => {
  world = new World();
});

const texts = (events: readonly any[]): string[] => events.filter((event) => event.type === "transcript").map((event) => event.text);

describe("opening", () => {
  test("says hello, and is ready when a holder is", async () => {
    const { conversation } = await world.connect({ modality: "text", approvals: true, token: "t.o.k" });

    expect(world.socket.protocols).toEqual(["segue.v1", "bearer.t.o.k"]);
    expect(world.socket.sent).toEqual([
      { type: "hello", session: "s", client_id: "c", connection: 1, modality: "text", approvals: true, binary: true },
    ]);
    expect(conversation.state).toBe("connecting");
    await world.socket.deliver(ready(7));
    expect((await conversation.whenReady()).epoch).toBe(7);
    expect(conversation.state).toBe("ready");
  });

  test("repeats hello with growing pauses", async () => {
    await world.connect();
    await world.advance(14_000);

    expect(world.socket.of("hello")).toHaveLength(4); // at 0, 2, 5 and 9.5 s
  });

  test("tells who waits why it takes long, and goes on", async () => {
    const { conversation } = await world.connect();
    await world.socket.deliver({ type: "error", code: "no_worker", message: "no worker", retryable: true });
    const waiting = expect(conversation.whenReady(1_000)).rejects.toThrow(/no_worker/);
    await world.advance(1_000);
    await waiting;
    const again = conversation.whenReady(1_000);
    await world.socket.deliver(ready(1));
    await again;

    await expect(conversation.whenReady(0)).resolves.toBeDefined();
    expect(new NotReady("x").name).toBe("NotReady");
  });

  test("ends when a handshake is refused, as far as the socket tells", async () => {
    const { conversation } = await world.connect({
      WebSocket: world.constructorOf((socket) => {
        socket.breakOff("Unexpected server response: 403");
      }),
    });

    await expect(conversation.whenReady()).rejects.toBeInstanceOf(HandshakeRefused);
    expect(conversation.state).toBe("failed");
    expect(() => conversation.sendText("x")).toThrow(HandshakeRefused);
  });

  test("ends when the session is refused", async () => {
    const { conversation } = await world.connect();
    await world.socket.deliver({ type: "error", code: "bad_session", message: "no", retryable: false });

    await expect(conversation.whenReady()).rejects.toBeInstanceOf(SessionRefused);
  });
});

describe("input", () => {
  test("is numbered, kept, and sent again until it is durable", async () => {
    const { conversation } = await world.connect();
    conversation.sendText("one");
    await world.advance(100);
    expect(world.socket.of("text")).toEqual([]);
    await world.socket.deliver(ready(1));
    expect(world.socket.of("text")).toEqual([{ type: "text", text: "one", seq: 1 }]);
    await world.advance(2_000);
    expect(world.socket.of("text")).toHaveLength(2);
    await world.socket.deliver({ type: "ack", epoch: 1, seq: 2, upto: 1 });
    await conversation.flush();
    await world.advance(60_000);

    expect(world.socket.of("text")).toHaveLength(2);
  });

  test("that no server would take gets an error, and no number", async () => {
    const { conversation } = await world.connect();
    await world.socket.deliver(ready(1));

    expect(() => conversation.sendText("")).toThrow(FrameError);
    expect(() => conversation.sendText("x".repeat(40_000))).toThrow(FrameError);
    expect(() => conversation.sendAudio(new Uint8Array(3))).toThrow(FrameError);
    expect(() => conversation.sendImage(new Uint8Array(0), "image/png")).toThrow(FrameError);
    conversation.sendText("good");
    await settle();
    expect(world.socket.of("text")).toEqual([{ type: "text", text: "good", seq: 1 }]);
  });
});

describe("output", () => {
  test("shows journal content once, in order, across a lost connection and a new holder", async () => {
    const { events } = await world.connect();
    await world.socket.deliver(ready(1), transcript(1, 2, 0), transcript(1, 2, 0), transcript(1, 4, 2), transcript(1, 3, 1));
    expect(texts(events)).toEqual(["said 0", "said 1", "said 2"]);
    world.socket.breakOff();
    await world.advance(500);
    expect(world.sockets).toHaveLength(2);
    expect(world.socket.of("hello").at(-1)).toMatchObject({ connection: 2, last_record: 2 });
    await world.socket.deliver(ready(2), transcript(2, 2, 3));
    expect(texts(events)).toHaveLength(3); // a record may be missing before it
    await world.advance(2_000);
    await world.socket.deliver(ready(2, 3, { since: 2 }), transcript(2, 4, 2), transcript(2, 5, 3));

    expect(texts(events)).toEqual(["said 0", "said 1", "said 2", "said 3"]);
  });

  test("ignores what is no frame", async () => {
    const { events } = await world.connect();
    await world.socket.deliver(ready(1), { message: "Forbidden" }, { type: "unheard" }, { type: "text", epoch: "x", text: 3 });
    for (const data of ["", "null", "[[]]", "{", '{"type":"__proto__"}', new ArrayBuffer(2)]) world.socket.onmessage?.({ data });

    expect(events.map((event) => event.type)).toEqual(["ready"]);
  });
});

describe("connections", () => {
  test("come back after a broken one, with pauses that grow, until it has been too long", async () => {
    let open = true;
    const { conversation } = await world.connect({
      WebSocket: world.constructorOf((socket) => {
        if (open) socket.open();
        else socket.breakOff();
      }),
    });
    await world.socket.deliver(ready(1));
    open = false;
    world.socket.breakOff();
    await world.advance(200_000);
    expect(conversation.state).toBe("reconnecting");
    await world.advance(120_000);

    expect(conversation.failure).toBeInstanceOf(ConnectionLost);
  });

  test("are not given up for the time that there is no network", async () => {
    let open = true;
    const { conversation } = await world.connect({
      WebSocket: world.constructorOf((socket) => {
        if (open) socket.open();
        else socket.breakOff();
      }),
    });
    await world.socket.deliver(ready(1));
    open = false;
    world.change("offline");
    world.socket.breakOff();
    await world.advance(3_600_000);
    expect(conversation.state).toBe("offline");
    open = true;
    world.change("online");
    await settle();
    await world.socket.deliver(ready(1, 2, { since: -1 }));

    expect(conversation.state).toBe("ready");
  });

  test.each([true, false])("survive a lid that is closed for an hour (the clock goes on: %s)", async (monotonic) => {
    const { conversation, events } = await world.connect();
    await world.socket.deliver(ready(1), transcript(1, 2, 0));
    conversation.sendText("kept");
    await settle();
    const dead = world.socket;
    await world.sleep(3_600_000, { monotonic }); // the socket says nothing, and its server has ended
    expect(dead.of("ping").length).toBeGreaterThan(0);
    expect(world.sockets).toHaveLength(2);
    await world.socket.deliver(ready(5), ready(5, 2, { since: 0 }), transcript(5, 3, 0), transcript(5, 4, 1));

    expect(world.socket.of("text")).toEqual([{ type: "text", text: "kept", seq: 1 }]);
    expect(texts(events)).toEqual(["said 0", "said 1"]);
    expect(conversation.state).toBe("ready");
  });

  test("are renewed beside the present one before they end", async () => {
    const { conversation, events } = await world.connect({ settings: { connectionLifetime: 60_000, lifetimeJitter: 0 } });
    await world.socket.deliver(ready(1));
    const old = world.socket;
    await world.advance(60_000);
    expect(world.sockets).toHaveLength(2);
    conversation.sendText("over the old one");
    await settle();
    expect(old.of("text")).toHaveLength(1);
    await world.socket.deliver(ready(1, 3, { since: -1 }), transcript(1, 4, 1));
    await old.deliver(transcript(1, 2, 0));
    conversation.sendText("over the new one");
    await settle();
    expect(world.socket.of("text").map((frame) => frame.text)).toContain("over the new one");
    expect(old.closed).toBe(false);
    await world.advance(1_000);

    expect(old.closed).toBe(true);
    expect(old.of("bye")).toEqual([]);
    expect(texts(events)).toEqual(["said 1"]);
  });

  test("get a fresh token each", async () => {
    let tokens = 0;
    await world.connect({ token: async () => `token${(tokens += 1)}` });
    await world.socket.deliver(ready(1), { type: "error", code: "expired", message: "over", retryable: false });
    await world.advance(500);

    expect(world.sockets.map((socket) => socket.protocols[1])).toEqual(["bearer.token1", "bearer.token2"]);
  });

  test("hand a slow network no more than it takes", async () => {
    const { conversation } = await world.connect();
    await world.socket.deliver(ready(1));
    world.socket.bufferedAmount = 1_000_000;
    conversation.sendText("later");
    await world.advance(1_000);
    expect(world.socket.of("text")).toEqual([]);
    world.socket.bufferedAmount = 0;
    await world.advance(100);

    expect(world.socket.of("text")).toHaveLength(1);
  });
});

describe("the end", () => {
  test("says bye, and leaves nothing behind", async () => {
    const { conversation } = await world.connect();
    await world.socket.deliver(ready(1));
    const iterated = (async () => {
      const types = [];
      for await (const event of conversation.events()) types.push(event.type);
      return types;
    })();
    await world.socket.deliver(transcript(1, 2, 0));
    await conversation.close();

    expect(world.socket.sent.at(-1)).toEqual({ type: "bye" });
    expect(await iterated).toEqual(["transcript"]);
    expect(world.waiting).toBe(0);
    expect(conversation.state).toBe("closed");
    expect(() => conversation.sendText("x")).toThrow(ClientClosed);
  });

  test("a ping is timed", async () => {
    const { conversation } = await world.connect();
    await world.socket.deliver(ready(1));
    const asked = conversation.ping();
    await world.advance(40);
    await world.socket.deliver({ type: "pong" });

    expect(await asked).toBe(40);
    expect(conversation.roundTrip).toBe(40);
  });

  test("listeners that throw stop no other", async () => {
    const { conversation } = await world.connect();
    const heard: string[] = [];
    const stop = new AbortController();
    conversation.on("moved", () => heard.push("stopped"), { signal: stop.signal });
    conversation.on("moved", () => heard.push("heard"));
    stop.abort();
    await world.socket.deliver(ready(1), { type: "moved", epoch: 1, seq: 2 });

    expect(heard).toEqual(["heard"]);
    expect(conversation.state).toBe("moving");
  });
});
