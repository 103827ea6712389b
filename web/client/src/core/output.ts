// Output numbering: a holder's frames are shown in order, and journal content exactly once. It follows segue.wire.output
// in Python; docs/protocol.md has the rules.
import type { Approval, HistoryLine, HistoryOutput, ServerFrame, TextOutput, Tool, Transcript } from "../generated/protocol.js";
import { keptBytes } from "./frames.js";

export type JournalFrame = Transcript | TextOutput | Tool | Approval;

/** Place of frames that may be missing: skipped numbers, or the end of an old epoch. */
export const GAP = Symbol("gap");
export type Item = ServerFrame | typeof GAP;

const JOURNAL_TYPES: ReadonlySet<string> = new Set(["transcript", "text", "tool", "approval"]);

export function isJournalFrame(frame: ServerFrame): frame is JournalFrame {
  return JOURNAL_TYPES.has(frame.type);
}

/**
 * Order of frames by number, without repeats and older epochs. A missing frame is waited for within `patience`
 * milliseconds.
 */
export class OutputOrder {
  epoch: number | undefined;
  private expected = 1;
  private bytes = 0;
  private readonly waiting = new Map<number, { frame: ServerFrame; arrived: number }>();

  constructor(
    private readonly patience: number,
    private readonly capacity = 1024,
    private readonly capacityBytes = 8 * 1024 * 1024,
  ) {}

  /** The last number of this epoch that was released or given up. */
  get released(): number {
    return this.expected - 1;
  }

  /** Take a frame as it arrives; return the frames to show now. Frames without a number never wait. */
  offer(frame: ServerFrame, now: number): Item[] {
    if (frame.epoch === undefined || frame.seq === undefined) return [frame];
    if (this.epoch !== undefined && frame.epoch < this.epoch) return [];
    const released: Item[] = frame.epoch === this.epoch ? [] : this.begin(frame.epoch);
    if (frame.seq < this.expected || this.waiting.has(frame.seq)) return released;
    this.waiting.set(frame.seq, { frame, arrived: now });
    this.bytes += keptBytes(frame);
    if (frame.type === "ready" && frame.since !== undefined) {
      while (this.expected < frame.seq) released.push(...this.skipGap());
    }
    released.push(...this.inOrder());
    while (this.waiting.size > this.capacity || this.bytes > this.capacityBytes) released.push(...this.skipGap());
    return released;
  }

  /** Give up frames that were missing for too long; return the frames to show now. */
  expire(now: number): Item[] {
    const released: Item[] = [];
    while (this.waiting.size && this.oldest() + this.patience <= now) released.push(...this.skipGap());
    return released;
  }

  /** Milliseconds until `expire` has something to do. */
  wakeup(now: number): number {
    return this.waiting.size ? Math.max(0, this.oldest() + this.patience - now) : Infinity;
  }

  private oldest(): number {
    let oldest = Infinity;
    for (const { arrived } of this.waiting.values()) oldest = Math.min(oldest, arrived);
    return oldest;
  }

  private begin(epoch: number): Item[] {
    const released: Item[] = [];
    if (this.epoch !== undefined) {
      while (this.waiting.size) released.push(...this.skipGap());
      released.push(GAP); // the end of the old epoch is unknown
    }
    this.epoch = epoch;
    this.expected = 1;
    return released;
  }

  private skipGap(): Item[] {
    let lowest = Infinity;
    for (const seq of this.waiting.keys()) lowest = Math.min(lowest, seq);
    const gap: Item[] = lowest > this.expected ? [GAP] : [];
    this.expected = lowest;
    return [...gap, ...this.inOrder()];
  }

  private inOrder(): Item[] {
    const released: Item[] = [];
    for (let next = this.waiting.get(this.expected); next; next = this.waiting.get(this.expected)) {
      this.waiting.delete(this.expected);
      this.bytes -= keptBytes(next.frame);
      this.expected += 1;
      released.push(next.frame);
    }
    return released;
  }
}

/** Records below the last one within which repeats are recognised; older ones count as shown. */
const KEPT_RECORDS = 1024;

/** Position of a client in the journal, by which each record is shown once and in order. */
export class JournalCursor {
  /**
   * Number of the last record shown without a gap before it, for `hello`: -1 for none, undefined before the first
   * `ready`.
   */
  lastRecord: number | undefined;
  /** True if no record is known to be missing; if one is, `hello` is repeated. */
  complete = false;
  private floor = -1;
  private shown = new Map<string, number>();
  /** The record position from which on pages have shown the conversation. */
  pagedFrom = Infinity;

  /** Begin after the first `head` records, as the first `ready` says; later ones change nothing. */
  open(head: number): void {
    if (this.lastRecord !== undefined) return;
    this.lastRecord = this.floor = head - 1;
    this.complete = true;
  }

  /** Note that records may be missing; only a `ready` with `since` ends that. */
  gap(): void {
    this.complete = false;
  }

  /** Tell whether to show a frame; call it in order. */
  accept(frame: ServerFrame): boolean {
    if (frame.type === "ready" && frame.since !== undefined && this.lastRecord !== undefined) this.complete = true;
    if (!isJournalFrame(frame) || frame.record === undefined) return true;
    // An open question counts as new, however old: it comes again after every `ready`.
    const stillAsked = frame.type === "approval" && frame.status === "asked";
    if (!this.complete || (frame.record <= this.floor && !stillAsked)) return false;
    return this.take(keyOf(frame), frame.record);
  }

  /** Return the lines to show of those typed just now; they are journal content like any other. */
  typed(frame: HistoryOutput): HistoryOutput | undefined {
    if (!this.complete) return undefined;
    return withLines(frame, (line) => line.record > this.floor && this.take(keyOfLine(line), line.record));
  }

  /**
   * Return the lines to show of a page: those that neither a page nor a live frame has shown. Lines of the first page
   * also count as shown live.
   */
  page(frame: HistoryOutput, opening: boolean): HistoryOutput {
    const last = this.lastRecord;
    // Pages join, so only their lowest position is kept. A page from further back, with a gap after it, does not move
    // it.
    const from = this.pagedFrom;
    const places = placesOf(frame.lines);
    const page = withLines(frame, (line, index) =>
      line.record > this.floor ? this.take(keyOfLine(line), line.record) : (places[index] ?? 0) < from,
    );
    if (frame.before === undefined || from === Infinity || frame.before >= from) this.pagedFrom = Math.min(from, places[0] ?? from);
    if (!opening || !this.complete) this.lastRecord = last;
    return page;
  }

  private take(key: string, record: number): boolean {
    if (this.shown.has(key)) return false;
    this.shown.set(key, record);
    this.advance(record);
    return true;
  }

  private advance(record: number): void {
    this.lastRecord = Math.max(this.lastRecord ?? record, record);
    if (this.shown.size <= 2 * KEPT_RECORDS) return;
    this.floor = Math.max(this.floor, this.lastRecord - KEPT_RECORDS);
    for (const [key, shown] of this.shown) if (shown <= this.floor) this.shown.delete(key);
  }
}

/** Return the identity of a line of the conversation, in whichever frame it comes. */
function keyOf(frame: JournalFrame): string {
  switch (frame.type) {
    case "tool":
      return `${frame.record} tool ${frame.tool_use_id}`;
    case "transcript":
      return `${frame.record} transcript ${frame.role}`;
    case "text":
      return `${frame.record} text assistant`;
    case "approval":
      return `${frame.record} approval`;
  }
}

function keyOfLine({ record, kind, role, tool_use_id: tool }: HistoryLine): string {
  return kind === "tool" ? `${record} tool ${tool ?? ""}` : `${record} ${kind} ${role}`;
}

/** Return the position of each line of a page. A redacted line has a later record, and stands with the next line. */
function placesOf(lines: readonly HistoryLine[]): number[] {
  return lines.map((_, index) => lines.slice(index).reduce((least, { record, replaces }) => Math.min(least, replaces ?? record), Infinity));
}

function withLines(frame: HistoryOutput, keep: (line: HistoryLine, index: number) => boolean): HistoryOutput {
  return { ...frame, lines: frame.lines.filter(keep) };
}
