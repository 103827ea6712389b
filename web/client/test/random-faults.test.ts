// One client, a network with random faults, and holders that are replaced without notice. The journal has each input once
// and in order, and the client shows each answer once and in order.
import { expect, test } from "vitest";
import type { ServerFrame } from "../src/index.js";
import type { FakeSocket } from "./world.js";
import { settle, World } from "./world.js";

/** Return a random sequence that a seed decides (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Frame = Record<string, any>;

/** A holder of the session; its memory dies with it. */
class Holder {
  private seq = 0;
  private readonly received = new Map<number, string>();

  constructor(
    readonly epoch: number,
    private readonly server: Server,
  ) {}

  /** Send a frame, numbered. */
  send(frame: Frame): void {
    this.server.send({ ...frame, epoch: this.epoch, seq: (this.seq += 1) });
  }

  ready(since?: number): void {
    const { journal, inputs } = this.server;
    const known = { upto: inputs.length, beyond: [] };
    this.send({ type: "ready", session: "s", known, history: 0, head: journal.length, window: 16, ...(since !== undefined && { since }) });
  }

  receive(frame: Frame): void {
    if (frame.type === "hello") {
      this.ready(frame.last_record);
      for (let record = frame.last_record ?? Infinity; record < this.server.journal.length; record += 1) if (record >= 0) this.show(record);
    } else if (frame.type === "text") {
      if (frame.seq <= this.server.inputs.length) this.ack();
      else this.received.set(frame.seq, frame.text);
    }
  }

  /** Commit the next input and its answer; only the holder of the present epoch can. */
  commitNext(): void {
    const next = this.server.inputs.length + 1;
    const text = this.received.get(next);
    if (text === undefined || this.epoch !== this.server.epoch) return;
    this.received.delete(next);
    this.server.inputs.push(text);
    this.server.journal.push(`answer to ${text}`);
    this.ack();
    this.send({ type: "audio", audio: "AAAA", rate: 24_000 });
    this.show(this.server.journal.length - 1);
  }

  private ack(): void {
    this.send({ type: "ack", upto: this.server.inputs.length, beyond: [] });
  }

  private show(record: number): void {
    this.send({ type: "text", text: this.server.journal[record], record });
  }
}

/** The server: a journal, its holders, and a network in between. */
class Server {
  readonly journal: string[] = ["from before"];
  readonly inputs: string[] = [];
  epoch = 1;
  faultless = false;
  holders: Holder[] = [new Holder(1, this)];
  private readonly receivedCounts = new Map<FakeSocket, number>();
  private waiting: { socket: FakeSocket; frame: Frame }[] = [];

  constructor(
    private readonly world: World,
    private readonly chance: () => number,
  ) {}

  get present(): Holder {
    return this.holders.at(-1) as Holder;
  }

  send(frame: Frame): void {
    const open = this.world.sockets.filter((socket) => socket.readyState === 1);
    const socket = open.at(-1);
    if (socket && (this.faultless || this.chance() > 0.08)) this.waiting.push({ socket, frame });
  }

  /** Run one turn: deliver the client's frames, inject a fault, and deliver frames of holders. */
  async turn(): Promise<void> {
    for (const socket of this.world.sockets) {
      const from = this.receivedCounts.get(socket) ?? 0;
      this.receivedCounts.set(socket, socket.sent.length);
      for (const frame of socket.sent.slice(from)) if (this.faultless || this.chance() > 0.1) this.present.receive(frame);
    }
    this.present.commitNext();
    if (!this.faultless) this.injectFault();
    for (let count = 0; count < 6 && this.waiting.length; count += 1) {
      const index = this.faultless ? 0 : Math.floor(this.chance() * Math.min(3, this.waiting.length));
      const [one] = this.waiting.splice(index, 1) as [{ socket: FakeSocket; frame: Frame }];
      if (one.socket.readyState === 1) await one.socket.deliver(one.frame);
    }
  }

  private injectFault(): void {
    const dice = this.chance();
    if (dice < 0.02) this.world.socket.breakOff();
    else if (dice < 0.05) this.changeHolder(dice < 0.035);
    else if (dice < 0.07) this.holders.at(-2)?.send(dice < 0.06 ? { type: "audio", audio: "AAAA", rate: 8_000 } : { type: "moved" });
    else if (dice < 0.09) this.world.socket.onmessage?.({ data: '{"message": "Internal server error", "connectionId":"x"}' });
  }

  private changeHolder(planned: boolean): void {
    if (planned) this.present.send({ type: "moved" });
    this.epoch += 2;
    this.holders.push(new Holder(this.epoch, this));
    this.present.ready();
  }
}

test.each(Array.from({ length: 60 }, (_, seed) => seed))("content comes once and in order under random faults (seed %i)", async (seed) => {
  const chance = seededRandom(seed);
  const world = new World();
  const server = new Server(world, chance);
  const { conversation, events } = await world.connect({ settings: { pongTimeout: 60_000 } });
  const said: string[] = [];
  for (let step = 0; step < 150; step += 1) {
    if (chance() < 0.3) {
      said.push(`text ${said.length}`);
      conversation.sendText(said.at(-1) as string);
    }
    await server.turn();
    await world.advance(200);
  }
  server.faultless = true;
  server.present.send({ type: "restart", reason: "a lost last frame is noticed with the next one" });
  for (let step = 0; step < 600 && (conversation.unacknowledged || shown(events).length < server.journal.length - 1); step += 1) {
    await server.turn();
    await world.advance(200);
  }
  await settle();

  expect(server.inputs).toEqual(said);
  expect(shown(events)).toEqual(server.journal.slice(1));
  const order = events.filter((event) => event.epoch !== undefined).map((event) => (event.epoch as number) * 1e6 + (event.seq as number));
  expect(order).toEqual([...order].sort((one, other) => one - other));
});

const shown = (events: readonly ServerFrame[]): string[] => events.flatMap((event) => (event.type === "text" ? [event.text] : []));
