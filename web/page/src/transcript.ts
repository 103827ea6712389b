/**
 * The lines of a conversation, in its order. No I/O and no clock.
 *
 * A line that is durable has its place in the journal: pages of history, and what comes live, are put together by it.
 * What is not durable yet (partial transcripts, lines just typed) stands at the end.
 */
import type { HistoryLine, TextOutput, Tool, Transcript } from "../../client/src/index.js";

export type Role = "user" | "assistant";

interface Placed {
  /** Never changes while the line is shown. */
  readonly id: number;
  /** Record of the journal that decides where it stands; `Infinity` while there is none. */
  place: number;
}

/** Something said or typed. */
export interface Said extends Placed {
  readonly kind: "said";
  readonly role: Role;
  text: string;
  /** Whether more of it may come. */
  partial: boolean;
  /** Whether it was typed, and not spoken. */
  readonly typed: boolean;
  /** Whether the user barged in, so that only this much of it was heard. */
  cutOff: boolean;
  /** Whether it is in the journal. */
  durable: boolean;
  /** Its record, once that is known. */
  record?: number | undefined;
}

/** A call of a tool. */
export interface ToolCall extends Placed {
  readonly kind: "tool";
  readonly toolUseId: string;
  readonly name: string;
  status: Tool["status"];
}

/** An image of the user's. */
export interface Picture extends Placed {
  readonly kind: "image";
  /** What to show of it; only this page has that. */
  readonly url: string | undefined;
  durable: boolean;
}

/** A change of the session's holder. */
export interface Change extends Placed {
  readonly kind: "change";
  readonly from: number;
  readonly to: number;
  readonly gap: number;
  readonly planned: boolean;
}

export type Line = Said | ToolCall | Picture | Change;

/** A line without what is given by where it is put. */
type Fresh<L extends Line> = Omit<L, "id" | "place">;

export class TranscriptLines {
  /** In the order in which they are shown. */
  lines: Line[] = [];
  private count = 0;
  private readonly shown = new Set<string>();

  /** Show a transcript, partial or final. */
  heard(frame: Transcript): void {
    if (frame.replaces !== undefined && this.correct(frame.replaces, frame.text, frame.record)) return;
    const { role, text, final, record } = frame;
    if (!final) {
      this.stream(role, text);
      return;
    }
    if (record !== undefined && !this.isNew(record, "transcript", role)) return;
    if (role === "user" && this.settleTyped(text, record)) return;
    const line = this.streaming(role);
    if (line) this.lines.splice(this.lines.indexOf(line), 1);
    this.insert<Said>(
      { kind: "said", role, text, partial: false, typed: false, cutOff: frame.replaces !== undefined, durable: true },
      frame.replaces ?? record ?? Infinity,
      line?.id,
    );
  }

  /** Show text of the agent that was never speech. */
  wrote(frame: TextOutput): void {
    if (frame.record !== undefined && !this.isNew(frame.record, "text", "assistant")) return;
    this.insert<Said>(
      { kind: "said", role: "assistant", text: frame.text, partial: false, typed: true, cutOff: false, durable: true },
      frame.record ?? Infinity,
    );
  }

  /** Show a tool at work, or what became of it. */
  used(frame: Tool): void {
    this.tool(frame.tool_use_id, frame.name, frame.status, frame.record);
  }

  /** Show a line that the user has just typed. */
  typed(text: string): void {
    // What the agent is saying stands before it, and is cut off by it; else it follows what is durable.
    const place = this.streaming("assistant") ? Infinity : this.newest;
    this.insert<Said>({ kind: "said", role: "user", text, partial: false, typed: true, cutOff: false, durable: false }, place);
  }

  /** All that was sent is durable: lines whose records are not known yet follow what is. */
  saved(): void {
    const place = this.newest;
    for (const line of this.lines) {
      if (line.kind === "said" && line.typed && !line.durable) this.settle({ ...line, durable: true }, Math.min(line.place, place));
      if (line.kind === "image" && !line.durable) this.settle({ ...line, durable: true }, Math.min(line.place, place));
    }
  }

  /** Show an image that the user has just sent. */
  pictured(url: string): void {
    this.insert<Picture>({ kind: "image", url, durable: false }, Infinity);
  }

  /** Show a change of the holder, after all that is durable. */
  changed(change: Fresh<Change>): void {
    this.insert<Change>(change, this.newest);
  }

  /** Show lines of the journal: a page of it, or what another client typed. */
  remembered(lines: readonly HistoryLine[]): void {
    for (const line of lines) this.remember(line);
  }

  /** What the agent was saying is over: it was interrupted, or its holder has changed. */
  interrupted(): void {
    this.lines = this.lines.filter((line) => !(line.kind === "said" && line.partial && line.role === "assistant"));
  }

  /** The smallest place that is shown; older lines stand before it. */
  get oldest(): number | undefined {
    const first = this.lines.find((line) => line.place < Infinity && line.kind !== "change");
    return first?.place;
  }

  private get newest(): number {
    return this.lines.reduce((most, { place }) => (place < Infinity ? Math.max(most, place) : most), -1);
  }

  private remember(line: HistoryLine): void {
    const { record, role, kind, text = "" } = line;
    if (kind === "tool") {
      this.tool(line.tool_use_id ?? "", line.name ?? "", line.status ?? "success", record);
      return;
    }
    if (line.replaces !== undefined && this.correct(line.replaces, text, record)) return;
    if (!this.isNew(record, kind, role)) return;
    const place = line.replaces ?? record;
    if (kind === "image") {
      if (line.input !== undefined && this.settlePicture(place)) return;
      this.insert<Picture>({ kind: "image", url: undefined, durable: true }, place);
      return;
    }
    if (line.input !== undefined && this.settleTyped(text, place, true)) return;
    this.insert<Said>(
      {
        kind: "said", role, text, partial: false, typed: kind === "text", cutOff: line.replaces !== undefined, durable: true, record,
      },
      place,
    );
  }

  private tool(toolUseId: string, name: string, status: Tool["status"], record: number | undefined): void {
    const known = this.lines.find((line): line is ToolCall => line.kind === "tool" && line.toolUseId === toolUseId);
    if (!known) {
      this.insert<ToolCall>({ kind: "tool", toolUseId, name, status }, record ?? Infinity);
    } else if (known.status === "started") {
      this.replace(known, { ...known, status });
    }
  }

  private stream(role: Role, text: string): void {
    const line = this.streaming(role);
    if (line) this.replace(line, { ...line, text });
    else this.insert<Said>({ kind: "said", role, text, partial: true, typed: false, cutOff: false, durable: false }, Infinity);
  }

  private streaming(role: Role): Said | undefined {
    return this.lines.find((line): line is Said => line.kind === "said" && line.partial && line.role === role);
  }

  /** Shorten what was said to what was heard of it. */
  private correct(place: number, text: string, record: number | undefined): boolean {
    const line = this.lines.find(
      (each): each is Said => each.kind === "said" && each.role === "assistant" && each.place === place,
    );
    if (!line) return false;
    if (record !== undefined) this.shown.add(`${record} transcript assistant`);
    this.replace(line, { ...line, text, cutOff: true });
    return true;
  }

  /**
   * Give a line that was typed here its place. Lines become durable in the order in which they were typed. `own`: it is
   * one of them, also if its text is another by now: cut, or redacted.
   */
  private settleTyped(text: string, place: number | undefined, own = false): boolean {
    const open = this.lines
      .filter((each): each is Said => each.kind === "said" && each.role === "user" && each.typed && each.record === undefined)
      .sort((one, other) => one.id - other.id);
    const line = open.find((each) => each.text.trim() === text.trim()) ?? (own ? open[0] : undefined);
    if (!line) return false;
    this.settle({ ...line, text, durable: true, record: place }, place ?? line.place);
    // What was typed after it stands after it.
    for (const each of open) if (each.id > line.id && place !== undefined && each.place < place) this.settle(each, place);
    return true;
  }

  private settlePicture(place: number): boolean {
    const line = this.lines.find((each): each is Picture => each.kind === "image" && !each.durable);
    if (!line) return false;
    this.settle({ ...line, durable: true }, place);
    return true;
  }

  private settle(line: Line, place: number): void {
    this.lines = this.lines.filter(({ id }) => id !== line.id);
    this.put({ ...line, place });
  }

  private insert<L extends Line>(line: Fresh<L>, place: number, id = ++this.count): void {
    this.put({ ...line, id, place } as L);
  }

  private put(line: Line): void {
    const later = this.lines.findIndex(({ place }) => place > line.place);
    const index = later < 0 ? this.lines.length : later;
    this.lines = [...this.lines.slice(0, index), line, ...this.lines.slice(index)];
  }

  private replace(line: Line, by: Line): void {
    this.lines = this.lines.map((each) => (each.id === line.id ? by : each));
  }

  private isNew(record: number, kind: string, role: string): boolean {
    const key = `${record} ${kind} ${role}`;
    if (this.shown.has(key)) return false;
    this.shown.add(key);
    return true;
  }
}
