import type { HistoryRequest, Ready } from "../generated/protocol.js";
import type { ClientSettings } from "./settings.js";

/** The page that a client asks for: the lines before a record, or the newest. One request at a time. */
export class HistoryRequests {
  private wanted: { readonly before: number | undefined } | undefined;
  private dueAt = Infinity;
  private repeatAfter = 0;

  /** `first`: whether the newest page is wanted from the beginning: the answer to `hello` brings it. */
  constructor(
    private readonly settings: ClientSettings,
    private awaitingFirst: boolean,
  ) {}

  /** True while the newest page of the beginning has not come yet. */
  get opening(): boolean {
    return this.awaitingFirst;
  }

  /** Ask for a page, in place of one that was asked for before. */
  ask(before: number | undefined, now: number): void {
    this.wanted = { before };
    this.dueAt = now;
    this.repeatAfter = this.settings.historyTimeout;
  }

  /** A holder listens; a request to another one is lost. */
  ready(frame: Ready, now: number): void {
    if (!frame.features.includes("history")) return;
    if (this.wanted) this.dueAt = now;
    else if (this.awaitingFirst) {
      this.ask(undefined, now);
      this.dueAt = now + this.settings.historyTimeout; // it comes by itself
    }
  }

  /** A page has come; tell whether it is the one of the beginning. */
  takePage(before: number | undefined): boolean {
    if (this.wanted?.before === before) {
      this.wanted = undefined;
      this.dueAt = Infinity;
    }
    const opening = this.awaitingFirst && before === undefined;
    if (opening) this.awaitingFirst = false;
    return opening;
  }

  /** The request to send now, if there is one; it counts as sent. */
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
