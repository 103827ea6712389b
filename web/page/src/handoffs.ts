/** The session's holders, as this client saw them. No I/O; times are arguments. */

/** A change of the holder. */
export interface Handoff {
  readonly from: number;
  readonly to: number;
  /** Milliseconds without a listening holder, as seen from here. */
  readonly gap: number;
  /** True for a handoff, which the holder announced; false for a takeover. */
  readonly planned: boolean;
}

/** The fields of a frame that tell of its holder. */
export interface ObservedFrame {
  readonly type: string;
  readonly epoch?: number;
  /** Audio formats, in a `ready` of a voice agent; a turn of text has none. */
  readonly audio?: unknown;
}

export class Handoffs {
  /** Epoch of the present holder; undefined until the first `ready`. */
  epoch: number | undefined;
  /** The changes so far, oldest first. */
  readonly changes: Handoff[] = [];
  /** True if the present holder is a turn of text, which holds the session only for its own time. */
  private isTextTurn = false;
  private movedAt: number | undefined;
  private lastFrameAt = 0;

  /**
   * Note a frame; return the change of the holder that it shows.
   *
   * The gap of a handoff lasts from `moved` to the successor's `ready`. A dead holder announces nothing: the gap of a
   * takeover is counted from its last frame, and is an upper bound. Turns of text have a holder each; changes between
   * them are no handoffs.
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
