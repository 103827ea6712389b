import { describe, expect, it } from "vitest";
import type { HistoryLine, Transcript } from "../../client/src/index.js";
import { TranscriptLines } from "../src/transcript.js";

const said = (role: "user" | "assistant", text: string, more: Partial<Transcript> = {}): Transcript => ({
  type: "transcript", role, text, final: more.record !== undefined, ...more,
});

const line = (record: number, role: "user" | "assistant", text: string, more: Partial<HistoryLine> = {}): HistoryLine => ({
  record, role, kind: "transcript", text, ...more,
});

function shown(lines: TranscriptLines): string[] {
  return lines.lines.map((each) => {
    switch (each.kind) {
      case "message": return `${each.role === "user" ? "U" : "A"}${each.partial ? "…" : each.durable ? "" : "?"} ${each.text}${each.cutOff ? " /" : ""}`;
      case "tool": return `T ${each.name} ${each.status}`;
      case "image": return `I${each.durable ? "" : "?"}`;
      case "change": return `= ${each.from}-${each.to}`;
    }
  });
}

describe("live speech", () => {
  it("grows while it is partial, and stands in its place when it is final", () => {
    const lines = new TranscriptLines();
    lines.addTranscript(said("user", "My name"));
    lines.addTranscript(said("user", "My name is Alice"));
    lines.addTranscript(said("assistant", "Hello"));
    expect(shown(lines)).toEqual(["U… My name is Alice", "A… Hello"]);
    const [before] = lines.lines;
    lines.addTranscript(said("user", "My name is Alice.", { record: 3 }));
    lines.addTranscript(said("assistant", "Hello Alice.", { record: 4 }));
    expect(shown(lines)).toEqual(["U My name is Alice.", "A Hello Alice."]);
    expect(lines.lines[0]?.id).toBe(before?.id);
  });

  it("is shown once, however often it comes", () => {
    const lines = new TranscriptLines();
    for (let i = 0; i < 2; i += 1) lines.addTranscript(said("assistant", "Hello.", { record: 4 }));
    lines.addHistory([line(4, "assistant", "Hello.")]);
    expect(shown(lines)).toEqual(["A Hello."]);
  });

  it("is shortened to what was heard of it, again and again", () => {
    const lines = new TranscriptLines();
    lines.addTranscript(said("assistant", "one two three four", { record: 4 }));
    lines.addTranscript(said("user", "stop", { record: 5 }));
    lines.addTranscript(said("assistant", "one two", { record: 6, replaces: 4 }));
    lines.addTranscript(said("assistant", "one", { record: 7, replaces: 4 }));
    expect(shown(lines)).toEqual(["A one /", "U stop"]);
  });

  it("shows a correction of what it has not as an answer in its place", () => {
    const lines = new TranscriptLines();
    lines.addTranscript(said("user", "stop", { record: 5 }));
    lines.addTranscript(said("assistant", "one", { record: 6, replaces: 4 }));
    expect(shown(lines)).toEqual(["A one /", "U stop"]);
  });

  it("drops the agent's unfinished words when it is interrupted", () => {
    const lines = new TranscriptLines();
    lines.addTranscript(said("assistant", "one two"));
    lines.addTranscript(said("user", "st"));
    lines.dropPartialAnswer();
    expect(shown(lines)).toEqual(["U… st"]);
  });
});

describe("typed text", () => {
  it("is shown as the journal has it, once, also if it was redacted or cut there", () => {
    const lines = new TranscriptLines();
    lines.addTyped("my card is 1234");
    lines.addTyped("a long story");
    lines.addHistory([line(3, "user", "[redacted]", { kind: "text", input: 1 })]);
    expect(shown(lines)).toEqual(["U [redacted]", "U? a long story"]);
    lines.addHistory([line(5, "user", "a long …", { kind: "text", input: 2 })]);
    expect(shown(lines)).toEqual(["U [redacted]", "U a long …"]);
    lines.addHistory([line(6, "user", "another device's", { kind: "text" })]);
    expect(shown(lines)).toHaveLength(3);
  });

  it("is shown at once, and is the same line when it is durable", () => {
    const lines = new TranscriptLines();
    lines.addTyped("hello");
    expect(shown(lines)).toEqual(["U? hello"]);
    lines.addHistory([line(2, "user", "hello", { kind: "text", input: 1 })]);
    lines.addTranscript(said("assistant", "Hello.", { record: 3 }));
    expect(shown(lines)).toEqual(["U hello", "A Hello."]);
  });

  it("settles twice the same words one after the other", () => {
    const lines = new TranscriptLines();
    lines.addTyped("yes");
    lines.addTyped("yes");
    lines.addHistory([line(2, "user", "yes", { kind: "text", input: 1 })]);
    expect(shown(lines)).toEqual(["U yes", "U? yes"]);
  });

  it("stands before its answer also where no record of it comes", () => {
    const lines = new TranscriptLines();
    lines.addTranscript(said("assistant", "Welcome.", { record: 1 }));
    lines.addTyped("hello");
    lines.settleAll();
    lines.addTranscript(said("assistant", "Hello.", { record: 3 }));
    expect(shown(lines)).toEqual(["A Welcome.", "U hello", "A Hello."]);
  });

  it("stands behind the words that it cuts off", () => {
    const lines = new TranscriptLines();
    lines.addTranscript(said("assistant", "one two"));
    lines.addTyped("stop");
    lines.addTranscript(said("assistant", "one", { record: 4 }));
    lines.addHistory([line(5, "user", "stop", { kind: "text", input: 1 })]);
    expect(shown(lines)).toEqual(["A one", "U stop"]);
  });

  it("of another client is a line of the user's", () => {
    const lines = new TranscriptLines();
    lines.addHistory([line(2, "user", "from my phone", { kind: "text" })]);
    expect(shown(lines)).toEqual(["U from my phone"]);
  });
});

describe("pages of history", () => {
  it("stand in the order of the journal, whatever came first", () => {
    const lines = new TranscriptLines();
    lines.addTranscript(said("assistant", "six", { record: 6 }));
    lines.addHistory([line(4, "user", "four", { kind: "text" }), line(5, "assistant", "five"), line(6, "assistant", "six")]);
    lines.addHistory([line(1, "user", "one"), line(2, "assistant", "two")]);
    expect(shown(lines)).toEqual(["U one", "A two", "U four", "A five", "A six"]);
    expect(lines.oldestPosition).toBe(1);
  });

  it("put a shortened answer where it was said", () => {
    const lines = new TranscriptLines();
    lines.addHistory([line(6, "assistant", "one", { replaces: 4 }), line(5, "user", "stop")]);
    expect(shown(lines)).toEqual(["A one /", "U stop"]);
  });

  it("show tools with what became of them", () => {
    const lines = new TranscriptLines();
    const tool = { kind: "tool", name: "clock", tool_use_id: "t1" } as const;
    lines.addHistory([line(2, "assistant", "", { ...tool, status: "started" }), line(3, "user", "", { ...tool, status: "success" })]);
    lines.addToolUse({ type: "tool", name: "clock", tool_use_id: "t1", status: "success", record: 3 });
    expect(shown(lines)).toEqual(["T clock success"]);
  });
});

it("puts a change of the holder behind what is durable, and before what comes", () => {
  const lines = new TranscriptLines();
  lines.addTranscript(said("user", "one", { record: 1 }));
  lines.addTranscript(said("assistant", "tw"));
  lines.addHolderChange({ kind: "change", from: 1, to: 3, gap: 20, planned: true });
  lines.addTranscript(said("assistant", "two", { record: 2 }));
  expect(shown(lines)).toEqual(["U one", "= 1-3", "A two"]);
});

it("settles an image with its record", () => {
  const lines = new TranscriptLines();
  lines.addImage("blob:x");
  lines.addHistory([line(2, "user", "", { kind: "image", input: 1 })]);
  expect(shown(lines)).toEqual(["I"]);
});
