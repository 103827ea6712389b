"""The rules that hold in every case: on the wire, and for what was shown. A case may be ``free`` of one by its name.

A rule that needs to know what the client has heard is judged by what the server has said: the client can only know
less, and is stricter with itself then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from segue.wire.binary import decode_binary_client
from segue.wire.frames import FrameError, decode_client_frame, encode_frame

INPUTS: Final = frozenset({"text", "audio", "image", "answer"})
CONTENT: Final = {"text": "text", "audio": "audio", "image": "image", "answer": "responses"}

FRAMES_PER_SECOND: Final = 150.0
BURST: Final = 75
"""The gateway refuses what comes faster: 150 frames a second, 75 at once."""


@dataclass(kw_only=True)
class Said:
    """A frame of the client: over which connection, when, and which frame it was read as."""

    over: int
    at: float
    frame: dict[str, Any]


@dataclass
class Judge:
    """Collects what breaks a rule."""

    free: frozenset[str] = frozenset()
    faults: list[str] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    _connection: int = 0
    _left: bool = False
    _greeted: set[int] = field(default_factory=set)
    _ready: bool = False
    _binary: set[int] = field(default_factory=set)
    _contents: dict[int, Any] = field(default_factory=dict)
    _flying: set[int] = field(default_factory=set)
    _window: int | None = None
    _highest: dict[int, int] = field(default_factory=dict)
    _epoch: int = -1
    _tokens: float = BURST
    _took_at: float | None = None

    def blame(self, rule: str, fault: str) -> None:
        """Note that a rule is broken."""
        if rule not in self.free:
            self.faults.append(f"{rule}: {fault}")

    # ── the wire ──

    def has_heard(self, over: int) -> bool:
        """Tell whether the client has said anything over a connection: before that, no server speaks."""
        return over in self._greeted

    def server_says(self, frame: Any, over: int) -> None:
        """Take in what the server says; what it says is right by definition."""
        if not isinstance(frame, dict):
            return
        epoch, seq = frame.get("epoch"), frame.get("seq")
        if isinstance(epoch, int) and isinstance(seq, int):
            self._highest[epoch] = max(self._highest.get(epoch, 0), seq)
        match frame:
            case {"type": "ready"}:
                self._ready = True
                if "binary" in frame.get("features", ()):
                    self._binary.add(over)
                self._window = frame.get("window")
                if epoch != self._epoch:
                    self._flying.clear()
                self._epoch = max(self._epoch, epoch)
                self._arrived(frame["known"])
            case {"type": "ack" | "received", "upto": int()}:
                self._arrived(frame)
            case {"type": "resume"}:
                self._flying.clear()

    def connection_broke(self) -> None:
        """Take in that a connection broke: frames on their way are lost."""
        self._flying.clear()

    def client_says(self, message: str | bytes, over: int, at: float, lag: float) -> dict[str, Any] | None:
        """Take in a message of the client; return its frame if it is one."""
        try:
            frame = self._read(message, over)
        except FrameError as error:
            self.blame("valid", f"over {over}: {error}: {message[:200]!r}")
            return None
        self.said.append(Said(over=over, at=at, frame=frame))
        self._pace(frame, at, lag)
        if self._left and frame["type"] != "bye":
            self.blame("bye", f"a {frame['type']} after bye")
        if over not in self._greeted and frame["type"] != "hello":
            self.blame("hello-first", f"{frame['type']} is the first frame of connection {over}")
        self._greeted.add(over)
        match frame["type"]:
            case "hello":
                self._hello(frame, over)
            case "ack":
                if frame["seq"] > self._highest.get(frame["epoch"], 0):
                    self.blame("acks", f"{frame} acknowledges what was never said")
            case "bye":
                self._left = True
            case kind if kind in INPUTS:
                self._input(frame)
        return frame

    def _read(self, message: str | bytes, over: int) -> dict[str, Any]:
        """Return a frame as cases name it; one of a binary message has ``binary``."""
        if isinstance(message, str):
            decode_client_frame(message)
            return dict(json.loads(message))
        if over not in self._binary:
            self.blame("valid", f"a binary message over {over}, whose ready does not name it")
        return {**json.loads(encode_frame(decode_binary_client(message))), "binary": True}

    def _hello(self, frame: dict[str, Any], over: int) -> None:
        if frame["connection"] != over:
            self.blame("connections", f"connection {over} calls itself {frame['connection']}")

    def _input(self, frame: dict[str, Any]) -> None:
        if not self._ready:
            self.blame("ready-first", f"{frame['type']} before any ready")
        seq = frame.get("seq")
        if seq is None:
            self.blame("numbers", f"{frame['type']} without a number")
            return
        content = frame[CONTENT[frame["type"]]]
        if seq not in self._contents:
            if seq != len(self._contents) + 1:
                self.blame("numbers", f"{seq} follows {len(self._contents)}")
            if self._window is not None and len(self._flying) >= self._window:
                self.blame("window", f"{len(self._flying) + 1} frames in flight, {self._window} are allowed")
        elif content not in (self._contents[seq], ""):
            self.blame("numbers", f"{seq} has another content than before")
        self._contents[seq] = content
        self._flying.add(seq)

    def _arrived(self, known: dict[str, Any]) -> None:
        upto, beyond = known.get("upto", 0), known.get("beyond", ())
        self._flying -= {seq for seq in self._flying if seq <= upto or seq in beyond}

    def _pace(self, frame: dict[str, Any], at: float, lag: float) -> None:
        """Judge as the gateway would, but for what piled up while this process had no turn."""
        if frame["type"] == "ping":
            return
        passed = 0.0 if self._took_at is None else at - self._took_at
        self._tokens = min(BURST + lag * FRAMES_PER_SECOND, self._tokens + passed * FRAMES_PER_SECOND) - 1
        self._took_at = at
        if self._tokens < 0:
            self.blame("pace", "more than 150 frames a second, or 75 at once")

    # ── what was shown ──

    def judge_shown(self, shown: Sequence[dict[str, Any]], journal: tuple[str, ...] | None) -> None:
        """Judge everything that the program was shown, in order."""
        last: tuple[int, int] = (-1, 0)
        seen: set[tuple[Any, ...]] = set()
        record = -1
        for frame in shown:
            epoch, seq = frame.get("epoch"), frame.get("seq")
            if epoch is not None and seq is not None:
                if (epoch, seq) <= last:
                    self.blame("order", f"{frame['type']} {epoch}.{seq} is shown after {last[0]}.{last[1]}")
                last = (epoch, seq)
            for key in keys(frame):
                if key in seen:
                    self.blame("once", f"{key} is shown twice")
                seen.add(key)
                if frame["type"] != "history" and key[0] < record:
                    self.blame("order", f"record {key[0]} is shown after {record}")
                record = max(record, key[0]) if frame["type"] != "history" else record
        if journal is not None and (found := tuple(contents(shown))) != journal:
            self.blame("journal", f"shown is {list(found)}, not {list(journal)}")


def keys(frame: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Name each content of the journal that a frame shows."""
    match frame:
        case {"type": "transcript", "record": int(record), "role": role}:
            yield record, "transcript", role
        case {"type": "text", "record": int(record)}:
            yield record, "text", "assistant"
        case {"type": "tool", "record": int(record), "tool_use_id": tool}:
            yield record, "tool", tool
        case {"type": "approval", "record": int(record)}:
            yield record, "approval", ""
        case {"type": "history", "lines": list(lines)}:
            for line in lines:
                tool = line["kind"] == "tool"
                yield line["record"], line["kind"], line.get("tool_use_id", "") if tool else line["role"]


def contents(shown: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Return the journal content that was shown, as a case writes it down."""
    for frame in shown:
        match frame:
            case {"type": "transcript", "record": int(), "text": text} | {
                "type": "text",
                "record": int(),
                "text": text,
            }:
                yield text
            case {"type": "tool", "record": int(), "name": name, "status": status}:
                yield f"{name} {status}"
            case {"type": "approval", "record": int(), "status": status}:
                yield f"approval {status}"
            case {"type": "history", "lines": list(lines)}:
                yield from (line.get("text") or f"{line.get('name')} {line.get('status')}" for line in lines)
