/** The session's holders, as this client saw them. No I/O, and the time is given. */

/** A change of the holder. */
export interface Handoff {
  readonly from: number;
  readonly to: number;
  /** Milliseconds without a holder that listens, as seen from here. */
  readonly gap: number;
  /** Whether the old holder said so before: a deployment. Otherwise it died or hung. */
  readonly planned: boolean;
}

/** What is needed of a frame. */
export interface ObservedFrame {
  readonly type: string;
  readonly epoch?: number;
  /** Of a `ready`: the formats of an agent that speaks. A turn of text has none. */
  readonly audio?: unknown;
}

export class Handoffs {
  /** Epoch of the present holder; undefined until the first `ready`. */
  epoch: number | undefined;
  /** The changes so far, oldest first. */
  readonly changes: Handoff[] = [];
  /** Whether the present holder is a turn of text, which has the session for its own time alone. */
  private isTextTurn = false;
  private movedAt: number | undefined;
  private lastFrameAt = 0;

  /**
   * Take note of a frame.
   *
   * The gap of a planned change lasts from the old holder's farewell to the new one's `ready`. A holder that dies says
   * nothing: there it lasts from the last that was heard of it, so it is the longest that it can have been. Each turn
   * of text has a holder of its own; that one follows another there is no handoff.
   */
  observe(frame: ObservedFrame, now: number): Handoff | undefined {
    const { epoch } = frame;
    if (epoch === undefined) return undefined;
    const wasTextTurn = this.isTextTurn;
    if (frame.type === "ready" && epoch >= (this.epoch ?? 0)) this.isTextTurn = frame.audio === undefined;
    if (this.epoch === undefined || epoch <= this.epoch) {
      if (frame.type === "moved") this.movedAt = now;
      this.epoch ??= epoch;
      this.lastFrameAt = now;
      return undefined;
    }
    const between = { from: this.epoch, planned: this.movedAt !== undefined, since: this.movedAt ?? this.lastFrameAt };
    this.epoch = epoch;
    this.movedAt = undefined;
    this.lastFrameAt = now;
    if (wasTextTurn || this.isTextTurn) return undefined;
    const change: Handoff = {
      from: between.from,
      to: epoch,
      gap: Math.max(0, Math.round(now - between.since)),
      planned: between.planned,
    };
    this.changes.push(change);
    return change;
  }
}
