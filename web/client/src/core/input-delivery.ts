// A client's input on its way to the session's holder: sent over a connection that was greeted, again to each new one. The
// model is segue.client.input_delivery in Python.
//
// ready of a new holder ─▶ everything again         received ─▶ has arrived there: not sent to it again
// ready of the same one ─▶ what may be lost again   ack      ─▶ durable: forgotten
import type { InputAck, Ready, Received, Resume } from "../generated/protocol.js";
import type { InputFrame } from "./frames.js";
import { Sender } from "./sender.js";
import type { ClientSettings } from "./settings.js";

/** Keeps the input of one client, and knows which holder has what of it. */
export class InputDelivery {
  /** True if the holder has said `moved`, and none has said `ready` since. */
  moving = false;
  private readonly sender: Sender;
  private greetedIn: number | undefined; // the epoch that said ready on this connection: input may flow
  private holder: number | undefined; // the epoch that has what has arrived
  private askedAgainAt = 0; // what it said before that is no news any more
  private silences = 0; // renewals in a row that were opened because nothing was confirmed

  constructor(private readonly settings: ClientSettings) {
    this.sender = new Sender(settings);
  }

  /** Tell whether a holder has said `ready` on this connection and not moved since. */
  get greeted(): boolean {
    return this.greetedIn !== undefined;
  }

  /** Tell whether it was the holder of this epoch that has said `ready` on this connection. */
  isGreetedIn(epoch: number | undefined): boolean {
    return this.greetedIn === epoch;
  }

  /** The number of inputs that are not known to be durable. */
  get unacknowledged(): number {
    return this.sender.unacknowledged;
  }

  /** The number of pieces of audio that were dropped because too much was unacknowledged. */
  get givenUp(): number {
    return this.sender.givenUp;
  }

  /** Keep inputs until they are durable. Returns how many older pieces of audio were given up for it. */
  add(...frames: InputFrame[]): number {
    return this.sender.add(...frames);
  }

  /** The inputs to send now; they count as sent. */
  due(now: number): InputFrame[] {
    return this.greeted ? this.sender.due(now) : [];
  }

  /** Milliseconds until `due` may have something. */
  wakeup(now: number): number {
    return this.greeted ? this.sender.wakeup(now) : Infinity;
  }

  /** Send nothing until a time: the holder is busy. */
  hold(until: number): void {
    this.sender.hold(until);
  }

  /**
   * The time when the holder has been silent for too long: what was sent is confirmed in a second. A holder without a
   * window confirms nothing. `toldAt`: when its connection has last brought more than a `pong`.
   */
  silentAt(toldAt: number): number {
    if (!this.greeted || this.sender.window === undefined) return Infinity;
    return Math.max(this.sender.unheardSince, toldAt) + this.patience;
  }

  /** Milliseconds that a direct connection may be silent: longer on a slow path, and longer each time in a row. */
  get patience(): number {
    return this.grown(this.silences);
  }

  /** Milliseconds in which a direct worker answers: longer on a slow path, and after so many in vain. */
  grown(times: number): number {
    return this.sender.grown(this.settings.receivedTimeout, times);
  }

  /** A connection gets a renewal, which is given longer if the last ones were `silent`, too. */
  renewed(silent: boolean): void {
    if (silent) this.silences += 1;
  }

  /**
   * A message came over a direct connection: it ends the row of silences of a client that only listens. What was sent and
   * is not confirmed has a silence of its own. `askedSince`: the time of the oldest ping behind a hello without an answer.
   */
  answered(askedSince: number | undefined, now: number): void {
    const inTime = now - (askedSince ?? -Infinity) < this.grown(0);
    if (inTime && this.sender.unheardSince === Infinity) this.silences = 0;
  }

  /** Send what the holder that said `ready` has not, or may not have. */
  ready(frame: Ready): void {
    this.sender.window = frame.window;
    if (this.holder !== frame.epoch) {
      this.askedAgainAt = frame.seq ?? 0;
      this.sender.resendAll(); // a new holder has nothing of it
    } else if (this.greetedIn !== frame.epoch) {
      this.sender.resendLost(); // a dead connection may have swallowed some
    }
    this.greetedIn = this.holder = frame.epoch;
    this.moving = false;
  }

  /** Send nothing until the next `ready`. */
  stop(): void {
    this.greetedIn = undefined;
  }

  /** The holder has released: the next one has nothing of the input. */
  moved(): void {
    this.holder = undefined;
    this.moving = true;
  }

  /** Send again what a silent connection may have swallowed. */
  swallowed(): void {
    this.sender.resendLost();
  }

  /** Forget what is durable; harmless if repeated or late. */
  durable(upto: number, beyond: readonly number[], now: number): void {
    this.sender.ack(upto, beyond, now);
  }

  /** Forget what is durable; its holder is not silent. */
  acknowledged(frame: InputAck, now: number): void {
    this.silences = 0;
    this.durable(frame.upto, frame.beyond, now);
  }

  /** Note what the holder has received, unless it has asked for everything again since. */
  arrived(frame: Received, now: number): void {
    this.silences = 0;
    if (frame.epoch === this.greetedIn && (frame.seq ?? 0) > this.askedAgainAt) {
      this.sender.arrived(frame.upto, frame.beyond, now);
    }
  }

  /** Send everything again. */
  askedAgain(frame: Resume): void {
    this.askedAgainAt = frame.seq ?? 0;
    this.sender.resendAll();
  }
}
