import type { HistoryRequest, Ready } from "../generated/protocol.js";
import type { ClientSettings } from "./settings.js";

/** Requests for pages of the conversation: the lines before a record, or the newest. One at a time. */
export class HistoryRequests {
  private wanted: { readonly before: number | undefined } | undefined;
  private dueAt = Infinity;
  private repeatAfter = 0;

  /** `awaitingFirst`: true to have the newest page first, which comes with the answer to `hello`. */
  constructor(
    private readonly settings: ClientSettings,
    private awaitingFirst: boolean,
  ) {}

  /** True while the first page has not come yet. */
  get opening(): boolean {
    return this.awaitingFirst;
  }

  /** Request a page, in place of the earlier request. */
  ask(before: number | undefined, now: number): void {
    this.wanted = { before };
    this.dueAt = now;
    this.repeatAfter = this.settings.historyTimeout;
  }

  /** Repeat an open request to a new holder, which has not had it. */
  ready(frame: Ready, now: number): void {
    if (!frame.features.includes("history")) return;
    if (this.wanted) this.dueAt = now;
    else if (this.awaitingFirst) {
      this.ask(undefined, now);
      this.dueAt = now + this.settings.historyTimeout; // comes without a request
    }
  }

  /** Note that a page came; return true if it is the first page. */
  takePage(before: number | undefined): boolean {
    if (this.wanted?.before === before) {
      this.wanted = undefined;
      this.dueAt = Infinity;
    }
    const opening = this.awaitingFirst && before === undefined;
    if (opening) this.awaitingFirst = false;
    return opening;
  }

  /** Return the request to send now, if one is due; it counts as sent. */
  due(now: number, lastRecord: number | undefined): HistoryRequest[] {
    if (!this.wanted || this.dueAt > now) return [];
    this.dueAt = now + this.repeatAfter;
    this.repeatAfter = Math.min(2 * this.repeatAfter, this.settings.longestTimeout);
    const { before } = this.wanted;
    return [
      { type: "history", ...(before !== undefined && { before }), ...(lastRecord !== undefined && { last_record: lastRecord }) },
    ];
  }

  wakeup(now: number): number {
    return this.dueAt - now;
  }
}
