"""Account of every frame: sent, acknowledged, heard by the model, answered, received.

A line counts as heard when the model understood its words and checksum, which takes all of its frames in their order.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local.demo.caller import Caller, SaidLine
from local.demo.listener import Listener


@dataclass(frozen=True)
class Row:
    """Frames of one kind on their way to the agent.

    Attributes:
        kind: What they carry.
        lines: How many lines they make up; 0 for silence.
        sent: How many were sent, repeats not counted.
        acknowledged: How many the worker said are durable.
        heard: How many belong to lines that the model understood; None for silence, which has nothing to understand.
        answered: How many belong to lines whose answer was shown.
    """

    kind: str
    lines: int
    sent: int
    acknowledged: int
    heard: int | None
    answered: int | None


class Frames:
    """The account of one client's frames.

    Attributes:
        rows: Frames to the agent, by kind.
        lost: What did not arrive, or was not answered, in words.
        doubled: What took effect or was shown more than once, in words. Repeats and frames of an epoch that is over
            are dropped by the client: what came over the wire is judged by ``tests.chaos``.
    """

    def __init__(self, caller: Caller, listener: Listener, heard: Counter[str], spoken: list[tuple[str, str]]) -> None:
        """Hold what was sent against what was heard, journalled and received.

        Args:
            caller: Who spoke.
            listener: What was received.
            heard: How often the models understood each sentence.
            spoken: The journal's messages as (role, text), in order.
        """
        self._caller = caller
        self._listener = listener
        self._heard = heard
        self.rows = [
            self._row("speech", [said for said in caller.said if said.spoken]),
            self._row("text", [said for said in caller.said if not said.spoken]),
            self._silence(caller.microphone.silence),
        ]
        self.lost: list[str] = []
        self.doubled: list[str] = []
        self._find_faults(spoken)

    def _row(self, kind: str, lines: list[SaidLine]) -> Row:
        understood, acknowledged = self._heard, self._listener.acknowledged
        return Row(
            kind,
            len(lines),
            sent=sum(len(said.frames) for said in lines),
            acknowledged=sum(acknowledged(number) for said in lines for number in said.frames),
            heard=sum(len(said.frames) for said in lines if understood[said.text]),
            answered=sum(len(said.frames) for said in lines if said.answer is not None),
        )

    def _silence(self, numbers: list[int]) -> Row:
        return Row("silence", 0, len(numbers), sum(map(self._listener.acknowledged, numbers)), None, None)

    def _find_faults(self, spoken: list[tuple[str, str]]) -> None:
        lines, listener = self._caller.said, self._listener
        lost, doubled = self.lost, self.doubled
        if self._caller.line.given_up:
            lost.append(f"{self._caller.line.given_up} frames were given up by the client")
        journal_texts, journal_answers = _texts(spoken, "user"), _texts(spoken, "assistant")
        for line in lines:
            if not self._heard[line.text]:
                lost.append(f"the model never understood {line.text!r}")
            if line.answer is None:
                lost.append(f"{line.text!r} was not answered")
            if not all(map(listener.acknowledged, line.frames)):
                lost.append(f"not all frames of {line.text!r} were acknowledged")
        if journal_texts != Counter(line.text for line in lines):
            said_texts = Counter(line.text for line in lines)
            lost += [f"{text!r} is not in the journal" for text in (said_texts - journal_texts)]
            doubled += [f"{text!r} is in the journal once too often" for text in (journal_texts - said_texts)]
        # What Strands puts in the place of answers that were cut off is always the same, and answers nothing.
        answers = {
            text: count for text, count in journal_answers.items() if any(line.expected in text for line in lines)
        }
        doubled += [f"{text!r} was answered {count} times" for text, count in answers.items() if count > 1]
        shown = Counter((final.role, final.record) for final in listener.finals)
        doubled += [f"record {record} was shown {count} times" for (_, record), count in shown.items() if count > 1]
        if listener.doubled:
            doubled.append(f"the client let through {listener.doubled} frames twice or from an epoch that was over")
        in_order = [final.text for final in listener.finals if final.role == "user"]
        if in_order != [line.text for line in lines if line.spoken]:
            lost.append(f"what was spoken was shown as {in_order}")

    def print(self, console: Console) -> None:
        """Print the account."""
        listener = self._listener
        table = Table("to the agent", "lines", "frames", "acknowledged", "heard", "answered", box=None)
        for row in self.rows:
            cells = [row.lines or "", row.sent, row.acknowledged, row.heard, row.answered]
            table.add_row(row.kind, *("" if cell is None else str(cell) for cell in cells))
        console.print(table)
        table = Table("to the client, as it let through", "frames", box=None)
        for kind, count in sorted(listener.count.items()):
            table.add_row(kind, str(count))
        table.add_row("skipped within an epoch", str(listener.missing))
        table.add_row("twice, or from an epoch that was over", str(listener.doubled))
        console.print(table)

    def facts(self) -> dict[str, Any]:
        """Return the account's figures, for a script."""
        return {
            "frames": sum(row.sent for row in self.rows),
            "received": sum(self._listener.count.values()),
            "missing": self._listener.missing,
            "lost": self.lost,
            "doubled": self.doubled,
        }


def read_log(path: Path) -> Counter[str]:
    """Read how often the offline models understood each sentence, typed or spoken (``segue.testing.offline.ledger``).

    A line of the file that a kill has cut is left out.
    """
    understood: Counter[str] = Counter()
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event["event"] == "heard" and event["kind"] in {"speech", "text"}:
            understood[event["text"]] += 1
    return understood


def _texts(spoken: list[tuple[str, str]], role: str) -> Counter[str]:
    return Counter(text for speaker, text in spoken if speaker == role)
