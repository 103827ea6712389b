// Delivery of a client's input to the session's holder: over a greeted connection, and again to each new holder. It follows
// segue.client.input_delivery in Python.
//
// ready of a new holder ─▶ everything again         received ─▶ has arrived there: not sent to it again
// ready of the same one ─▶ what may be lost again   ack      ─▶ durable: forgotten
import type { InputAck, Ready, Received, Resume } from "../generated/protocol.js";
import type { InputFrame } from "./frames.js";
import { Sender } from "./sender.js";
import type { ClientSettings } from "./settings.js";

/** Input of one client, with the parts that the present holder has received. */
export class InputDelivery {
  /** True if the holder has said `moved`, and no holder `ready` since. */
  moving = false;
  private readonly sender: Sender;
  private greetedIn: number | undefined; // epoch of the `ready` on this connection: input may be sent
  private holder: number | undefined; // epoch of the holder that has received the arrived input
  private askedAgainAt = 0; // number of the `resume` or `ready` before which `received` is outdated
  private silences = 0; // renewals in a row for lack of confirmation

  constructor(private readonly settings: ClientSettings) {
    this.sender = new Sender(settings);
  }

  /** True if a holder has said `ready` on this connection and not `moved` since. */
  get greeted(): boolean {
    return this.greetedIn !== undefined;
  }

  /** Tell whether the `ready` on this connection came from this epoch. */
  isGreetedIn(epoch: number | undefined): boolean {
    return this.greetedIn === epoch;
  }

  /** Inputs that are not known to be durable. */
  get unacknowledged(): number {
    return this.sender.unacknowledged;
  }

  /** Pieces of audio dropped because too much was unacknowledged. */
  get givenUp(): number {
    return this.sender.givenUp;
  }

  /** Keep inputs until they are durable. Returns the number of older pieces of audio given up for them. */
  add(...frames: InputFrame[]): number {
    return this.sender.add(...frames);
  }

  /** Return the inputs to send now; they count as sent. */
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
   * Return the time at which the holder has been silent for too long; Infinity for one without a window, which confirms
   * nothing.
   *
   * `toldAt`: time of its connection's latest frame other than `pong`.
   */
  silentAt(toldAt: number): number {
    if (!this.greeted || this.sender.window === undefined) return Infinity;
    return Math.max(this.sender.unheardSince, toldAt) + this.patience;
  }

  /** Milliseconds that a direct connection may be silent: more on a slow path, and after each silence in a row. */
  get patience(): number {
    return this.grown(this.silences);
  }

  /** Milliseconds for a direct worker's answer: more on a slow path, and after so many silences. */
  grown(times: number): number {
    return this.sender.grown(this.settings.receivedTimeout, times);
  }

  /** Note a renewal; a `silent` one lengthens the patience with the next connection. */
  renewed(silent: boolean): void {
    if (silent) this.silences += 1;
  }

  /**
   * Note a message of a direct connection: it ends the row of silences of a client that sends nothing. Unconfirmed
   * input has a silence of its own.
   *
   * `askedSince`: time of the oldest unanswered ping behind a hello.
   */
  answered(askedSince: number | undefined, now: number): void {
    const inTime = now - (askedSince ?? -Infinity) < this.grown(0);
    if (inTime && this.sender.unheardSince === Infinity) this.silences = 0;
  }

  /** Send the input that the holder of this `ready` lacks, or may lack. */
  ready(frame: Ready): void {
    this.sender.window = frame.window;
    if (this.holder !== frame.epoch) {
      this.askedAgainAt = frame.seq ?? 0;
      this.sender.resendAll(); // a new holder has received none
    } else if (this.greetedIn !== frame.epoch) {
      this.sender.resendLost(); // the dead connection may have lost some
    }
    this.greetedIn = this.holder = frame.epoch;
    this.moving = false;
  }

  /** Send nothing until the next `ready`. */
  stop(): void {
    this.greetedIn = undefined;
  }

  /** Note the holder's release: its successor has received none of the input. */
  moved(): void {
    this.holder = undefined;
    this.moving = true;
  }

  /** Send again the input that a silent connection may have lost. */
  swallowed(): void {
    this.sender.resendLost();
  }

  /** Forget durable inputs; harmless if repeated or late. */
  durable(upto: number, beyond: readonly number[], now: number): void {
    this.sender.ack(upto, beyond, now);
  }

  /** Forget durable inputs; an acknowledgement also ends the silences. */
  acknowledged(frame: InputAck, now: number): void {
    this.silences = 0;
    this.durable(frame.upto, frame.beyond, now);
  }

  /** Note the input that the holder has received, unless it has asked for everything again since. */
  arrived(frame: Received, now: number): void {
    this.silences = 0;
    if (frame.epoch === this.greetedIn && (frame.seq ?? 0) > this.askedAgainAt) {
      this.sender.arrived(frame.upto, frame.beyond, now);
    }
  }

  /** Send everything again, as the holder asks. */
  askedAgain(frame: Resume): void {
    this.askedAgainAt = frame.seq ?? 0;
    this.sender.resendAll();
  }
}
