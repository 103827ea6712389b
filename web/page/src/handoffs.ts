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

export class Handoffs {
  /** Epoch of the present holder; undefined until the first `ready`. */
  epoch: number | undefined;
  /** The changes so far, oldest first. */
  readonly all: Handoff[] = [];
  private movedAt: number | undefined;
  private lastAt = 0;

  /**
   * Take note of a frame.
   *
   * The gap of a planned change lasts from the old holder's farewell to the new one's `ready`. A holder that dies says
   * nothing: there it lasts from the last that was heard of it, so it is the longest that it can have been.
   */
  saw(frame: { readonly type: string; readonly epoch?: number }, now: number): Handoff | undefined {
    const { epoch } = frame;
    if (epoch === undefined) return undefined;
    if (this.epoch === undefined || epoch <= this.epoch) {
      if (frame.type === "moved") this.movedAt = now;
      this.epoch ??= epoch;
      this.lastAt = now;
      return undefined;
    }
    const change: Handoff = {
      from: this.epoch,
      to: epoch,
      gap: Math.max(0, Math.round(now - (this.movedAt ?? this.lastAt))),
      planned: this.movedAt !== undefined,
    };
    this.epoch = epoch;
    this.movedAt = undefined;
    this.lastAt = now;
    this.all.push(change);
    return change;
  }
}
