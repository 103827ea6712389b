/**
 * The lines of a conversation, in its order. No I/O and no clock.
 *
 * A durable line has a position in the journal, which orders pages of history and live lines. Lines that are not durable
 * yet (partial transcripts, lines just typed) stand at the end.
 */
import type { HistoryLine, TextOutput, Tool, Transcript } from "../../client/src/index.js";

export type Role = "user" | "assistant";

interface PlacedLine {
  /** Id of the line, which never changes while it is shown. */
  readonly id: number;
  /** Record position that orders the line; `Infinity` while it has none. */
  position: number;
}

/** A spoken or typed message. */
export interface MessageLine extends PlacedLine {
  readonly kind: "message";
  readonly role: Role;
  text: string;
  /** True while more of it may come. */
  partial: boolean;
  /** True if it was typed, false if it was spoken. */
  readonly typed: boolean;
  /** True if a barge-in cut it off: the text is the part that was heard. */
  cutOff: boolean;
  /** True if it is in the journal. */
  durable: boolean;
  /** Number of its record, once that is known. */
  record?: number | undefined;
}

/** A call of a tool. */
export interface ToolLine extends PlacedLine {
  readonly kind: "tool";
  readonly toolUseId: string;
  readonly name: string;
  status: Tool["status"];
}

/** An image that the user sent. */
export interface ImageLine extends PlacedLine {
  readonly kind: "image";
  /** Object URL of the image, which only the page that sent it has. */
  readonly url: string | undefined;
  durable: boolean;
}

/** A change of the session's holder. */
export interface HolderChange extends PlacedLine {
  readonly kind: "change";
  readonly from: number;
  readonly to: number;
  readonly gap: number;
  readonly planned: boolean;
}

export type Line = MessageLine | ToolLine | ImageLine | HolderChange;

/** A line before it has its id and position. */
type Unplaced<L extends Line> = Omit<L, "id" | "position">;

export class TranscriptLines {
  /** The lines in the order in which they are shown. */
  lines: Line[] = [];
  private count = 0;
  private readonly shown = new Set<string>();

  /** Show a transcript, partial or final. */
  addTranscript(frame: Transcript): void {
    if (frame.replaces !== undefined && this.shorten(frame.replaces, frame.text, frame.record)) return;
    const { role, text, final, record } = frame;
    if (!final) {
      this.updatePartial(role, text);
      return;
    }
    if (record !== undefined && !this.isNew(record, "transcript", role)) return;
    if (role === "user" && this.settleTyped(text, record)) return;
    const line = this.partialLine(role);
    if (line) this.lines.splice(this.lines.indexOf(line), 1);
    this.insert<MessageLine>(
      { kind: "message", role, text, partial: false, typed: false, cutOff: frame.replaces !== undefined, durable: true },
      frame.replaces ?? record ?? Infinity,
      line?.id,
    );
  }

  /** Show text that the agent wrote and did not speak. */
  addText(frame: TextOutput): void {
    if (frame.record !== undefined && !this.isNew(frame.record, "text", "assistant")) return;
    this.insert<MessageLine>(
      { kind: "message", role: "assistant", text: frame.text, partial: false, typed: true, cutOff: false, durable: true },
      frame.record ?? Infinity,
    );
  }

  /** Show a call of a tool, or its outcome. */
  addToolUse(frame: Tool): void {
    this.updateTool(frame.tool_use_id, frame.name, frame.status, frame.record);
  }

  /** Show a line that the user has just typed. */
  addTyped(text: string): void {
    // It cuts off an answer that is being spoken, and stands after it; otherwise it follows the durable lines.
    const position = this.partialLine("assistant") ? Infinity : this.newestPosition;
    this.insert<MessageLine>({ kind: "message", role: "user", text, partial: false, typed: true, cutOff: false, durable: false }, position);
  }

  /** Mark every line as durable; lines whose records are unknown follow the durable ones. */
  settleAll(): void {
    const position = this.newestPosition;
    for (const line of this.lines) {
      if (line.kind === "message" && line.typed && !line.durable) this.settle({ ...line, durable: true }, Math.min(line.position, position));
      if (line.kind === "image" && !line.durable) this.settle({ ...line, durable: true }, Math.min(line.position, position));
    }
  }

  /** Show an image that the user has just sent. */
  addImage(url: string): void {
    this.insert<ImageLine>({ kind: "image", url, durable: false }, Infinity);
  }

  /** Show a change of the holder, after all durable lines. */
  addHolderChange(change: Unplaced<HolderChange>): void {
    this.insert<HolderChange>(change, this.newestPosition);
  }

  /** Show lines of the journal: a page, or lines that another client typed. */
  addHistory(lines: readonly HistoryLine[]): void {
    for (const line of lines) this.addHistoryLine(line);
  }

  /** Drop the agent's partial answer: it was interrupted, or its holder has changed. */
  dropPartialAnswer(): void {
    this.lines = this.lines.filter((line) => !(line.kind === "message" && line.partial && line.role === "assistant"));
  }

  /** The smallest position that is shown; older lines stand before it. */
  get oldestPosition(): number | undefined {
    const first = this.lines.find((line) => line.position < Infinity && line.kind !== "change");
    return first?.position;
  }

  private get newestPosition(): number {
    return this.lines.reduce((most, { position }) => (position < Infinity ? Math.max(most, position) : most), -1);
  }

  private addHistoryLine(line: HistoryLine): void {
    const { record, role, kind, text = "" } = line;
    if (kind === "tool") {
      this.updateTool(line.tool_use_id ?? "", line.name ?? "", line.status ?? "success", record);
      return;
    }
    if (line.replaces !== undefined && this.shorten(line.replaces, text, record)) return;
    if (!this.isNew(record, kind, role)) return;
    const position = line.replaces ?? record;
    if (kind === "image") {
      if (line.input !== undefined && this.settleImage(position)) return;
      this.insert<ImageLine>({ kind: "image", url: undefined, durable: true }, position);
      return;
    }
    if (line.input !== undefined && this.settleTyped(text, position, true)) return;
    this.insert<MessageLine>(
      {
        kind: "message", role, text, partial: false, typed: kind === "text", cutOff: line.replaces !== undefined, durable: true, record,
      },
      position,
    );
  }

  private updateTool(toolUseId: string, name: string, status: Tool["status"], record: number | undefined): void {
    const known = this.lines.find((line): line is ToolLine => line.kind === "tool" && line.toolUseId === toolUseId);
    if (!known) {
      this.insert<ToolLine>({ kind: "tool", toolUseId, name, status }, record ?? Infinity);
    } else if (known.status === "started") {
      this.replace(known, { ...known, status });
    }
  }

  private updatePartial(role: Role, text: string): void {
    const line = this.partialLine(role);
    if (line) this.replace(line, { ...line, text });
    else this.insert<MessageLine>({ kind: "message", role, text, partial: true, typed: false, cutOff: false, durable: false }, Infinity);
  }

  private partialLine(role: Role): MessageLine | undefined {
    return this.lines.find((line): line is MessageLine => line.kind === "message" && line.partial && line.role === role);
  }

  /** Shorten an answer to the part that was heard. */
  private shorten(position: number, text: string, record: number | undefined): boolean {
    const line = this.lines.find(
      (each): each is MessageLine => each.kind === "message" && each.role === "assistant" && each.position === position,
    );
    if (!line) return false;
    if (record !== undefined) this.shown.add(`${record} transcript assistant`);
    this.replace(line, { ...line, text, cutOff: true });
    return true;
  }

  /**
   * Give a line that was typed here its position. Lines become durable in the order of typing.
   *
   * `own`: true for a line that is known to be from here, even if its text was cut or redacted.
   */
  private settleTyped(text: string, position: number | undefined, own = false): boolean {
    const open = this.lines
      .filter((each): each is MessageLine => each.kind === "message" && each.role === "user" && each.typed && each.record === undefined)
      .sort((one, other) => one.id - other.id);
    const line = open.find((each) => each.text.trim() === text.trim()) ?? (own ? open[0] : undefined);
    if (!line) return false;
    this.settle({ ...line, text, durable: true, record: position }, position ?? line.position);
    // Lines typed after it stand after it.
    for (const each of open) if (each.id > line.id && position !== undefined && each.position < position) this.settle(each, position);
    return true;
  }

  private settleImage(position: number): boolean {
    const line = this.lines.find((each): each is ImageLine => each.kind === "image" && !each.durable);
    if (!line) return false;
    this.settle({ ...line, durable: true }, position);
    return true;
  }

  private settle(line: Line, position: number): void {
    this.lines = this.lines.filter(({ id }) => id !== line.id);
    this.insertInOrder({ ...line, position });
  }

  private insert<L extends Line>(line: Unplaced<L>, position: number, id = ++this.count): void {
    this.insertInOrder({ ...line, id, position } as L);
  }

  private insertInOrder(line: Line): void {
    const later = this.lines.findIndex(({ position }) => position > line.position);
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
