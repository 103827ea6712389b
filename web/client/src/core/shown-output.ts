// The output of the session's holders as one client shows it: in order, journal content once, and acknowledged. It
// follows segue.client.shown_output in Python.
//
// frames ─▶ in order ─▶ journal cursor ─▶ events ─▶ ack, with the played position
//             │ gap        └ pages, approvals
//             └─▶ hello, after which missing records come again
import type { Approval, HistoryOutput, OutputAck, Played, ServerFrame } from "../generated/protocol.js";
import { HistoryRequests } from "./history.js";
import type { Item } from "./output.js";
import { GAP, isJournalFrame, JournalCursor, OutputOrder } from "./output.js";
import type { ClientSettings } from "./settings.js";

/** Milliseconds from an approval's end to the hello that has it denied: the holder's clock may be behind. */
const OVERDUE_MARGIN_MS = 500;

/** Position of a client's player: `ms` milliseconds of the audio frame `seq` of `epoch`. */
export interface PlayedAudio {
  readonly epoch: number;
  readonly seq: number;
  readonly ms: number;
}

/** Output that one client has shown, over all connections and holders. */
export class ShownOutput {
  /** The approval that the agent waits for, as it was shown. */
  approval: Approval | undefined;
  /** Called with the time before journal content counts as missing. */
  onGap: (now: number) => void = () => undefined;
  /** Requests for pages of the conversation. */
  readonly pages: HistoryRequests;
  private readonly order: OutputOrder;
  private readonly cursor = new JournalCursor();
  private playedAudio: PlayedAudio | undefined;
  private ackAt = Infinity;
  private overdueAt = Infinity; // end of the approval's time

  /** `history`: true to request the first page. */
  constructor(
    private readonly settings: ClientSettings,
    history: boolean,
  ) {
    this.pages = new HistoryRequests(settings, history);
    this.order = new OutputOrder(settings.gapPatience);
  }

  /** The highest epoch received. */
  get epoch(): number | undefined {
    return this.order.epoch;
  }

  /** Number of the last record shown without a gap before it: -1 for none, undefined before the first `ready`. */
  get lastRecord(): number | undefined {
    return this.cursor.lastRecord;
  }

  /** The record from which on pages have shown the conversation; undefined before the first page. */
  get pagedFrom(): number | undefined {
    return this.cursor.pagedFrom === Infinity ? undefined : this.cursor.pagedFrom;
  }

  /** True if no record is known to be missing. */
  get complete(): boolean {
    return this.cursor.complete;
  }

  /** Begin after the first `head` records, as the first `ready` says. */
  open(head: number): void {
    this.cursor.open(head);
  }

  /** Stop journal content until missing records have come again. */
  gap(): void {
    this.cursor.gap();
  }

  /** Tell whether a frame is from an older epoch than the highest received. */
  isStale(frame: ServerFrame): boolean {
    return frame.epoch !== undefined && this.order.epoch !== undefined && frame.epoch < this.order.epoch;
  }

  /** Take a frame as it arrives; return the resulting events in order. */
  offerFrame(frame: ServerFrame, now: number): ServerFrame[] {
    return this.show(this.order.offer(frame, now), now);
  }

  /** Give up frames that were missing for too long; return the events that waited for them. */
  expire(now: number): ServerFrame[] {
    return this.show(this.order.expire(now), now);
  }

  /** Milliseconds until `expire` may have something. */
  wakeup(now: number): number {
    return this.order.wakeup(now);
  }

  /** Tell, once, whether the approval's time is over: the next hello has it denied. */
  overdue(now: number): boolean {
    if (this.overdueAt > now) return false;
    this.overdueAt = Infinity;
    return true;
  }

  /** Milliseconds until `overdue` may be true. */
  overdueWait(now: number): number {
    return this.overdueAt - now;
  }

  /** Note the player's position; report it `atOnce`, or with the next acknowledgement. */
  played(played: PlayedAudio, atOnce: boolean, now: number): void {
    this.playedAudio = played;
    if (atOnce) this.ackAt = now;
  }

  /**
   * Return the acknowledgement to send now, if one is due; it counts as sent. `played`: true if the holder takes the
   * position.
   */
  acks(now: number, played: boolean): OutputAck[] {
    if (this.ackAt > now) return [];
    this.ackAt = Infinity;
    const epoch = this.order.epoch;
    // The holder of an epoch that has just begun has said nothing yet.
    if (epoch === undefined || !this.order.released) return [];
    const report = played ? this.playedIn(epoch) : undefined;
    return [{ type: "ack", epoch, seq: this.order.released, ...(report && { played: report }) }];
  }

  /** Milliseconds until `acks` has something. */
  ackWakeup(now: number): number {
    return this.ackAt - now;
  }

  private playedIn(epoch: number): Played | undefined {
    if (!this.playedAudio) return undefined;
    const { epoch: playedEpoch, seq, ms } = this.playedAudio;
    return playedEpoch === epoch ? { seq, ms: Math.max(0, Math.round(ms)) } : { seq: 0, ms: 0 };
  }

  private show(items: Item[], now: number): ServerFrame[] {
    const events: ServerFrame[] = [];
    for (const item of items) {
      if (item === GAP) {
        this.onGap(now);
        this.gap();
        continue;
      }
      if (item.type === "approval") this.followApproval(item, now);
      const shown = item.type === "history" ? this.linesToShow(item) : this.cursor.accept(item) ? item : undefined;
      if (!shown) continue;
      const isContent = (isJournalFrame(shown) && shown.record !== undefined) || shown.type === "history";
      if (isContent && this.ackAt === Infinity) this.ackAt = now + this.settings.ackDelay;
      if (shown.type !== "pong") events.push(shown);
    }
    return events;
  }

  /** Return the lines to show of a history frame. A page is shown even when empty, because it was requested. */
  private linesToShow(frame: HistoryOutput): HistoryOutput | undefined {
    if (frame.more !== undefined) return this.cursor.page(frame, this.pages.takePage(frame.before));
    const typed = this.cursor.typed(frame);
    return typed?.lines.length ? typed : undefined;
  }

  /** Note an approval and the end of its time; a repeat changes nothing. */
  private followApproval(frame: Approval, now: number): void {
    const asked = frame.status === "asked";
    this.approval = asked ? frame : undefined;
    this.overdueAt = asked ? now + (frame.seconds ?? 0) * 1000 + OVERDUE_MARGIN_MS : Infinity;
  }
}
