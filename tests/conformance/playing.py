"""One case, played: the server's and the program's steps in order, each waiting for what it expects."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.conformance.cases import Case, matches
from tests.conformance.program import Program
from tests.conformance.server import ScriptedServer, Stage
from tests.support.waiting import within

PATIENCE_SECONDS = 45.0
"""Seconds of the steady clock that a step may take: the longest that a client waits by itself is some seconds."""


class Unfulfilled(Exception):  # noqa: N818 - reads as what happened
    """Raised when a step waits in vain, or sees a frame that must not come."""


class Play:
    """One case with one program."""

    def __init__(
        self, case: Case, program: Program, server: ScriptedServer, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._case = case
        self._patience = patience
        self._program = program
        self._server = server
        self._moved = asyncio.Event()
        self._stage = Stage(case, self._moved.set)
        self._shown: list[dict[str, Any]] = []
        self._unseen = 0
        self._ended: str | None = None
        self._broken: str | None = None
        self._paused = False

    async def run(self) -> list[str]:
        """Play it; return what was wrong."""
        faults: list[str] = []
        self._server.play(self._case.name, self._stage)
        self._program.listen(self._case.name, self._report)
        options = {"url": self._server.address(self._case.name), "session": self._case.name, "client_id": "c"}
        tokens = {"tokens": list(self._case.tokens)} if self._case.tokens else {}
        self._program.tell(self._case.name, {"do": "open", **options, **tokens, **self._case.open})
        try:
            for number, step in enumerate(self._case.steps, start=1):
                try:
                    await self._step(step)
                except Unfulfilled as error:
                    faults.append(f"step {number} {_short(step)}: {error}; {self._story()}")
                    break
            await self._close()
        except Unfulfilled as error:
            faults.append(f"{error}; {self._story()}")
        self._stage.judge.judge_shown(self._shown, self._case.journal if not faults else None)
        return faults + self._stage.judge.faults

    async def _close(self) -> None:
        """Have the program leave: what it says then is judged as well."""
        if self._ended is None:
            self._program.tell(self._case.name, {"do": "close"})
        await self._until(lambda: self._ended is not None, "the client has not ended")

    async def _step(self, step: Mapping[str, Any]) -> None:
        over = step.get("over")
        if over == "newest":
            over = max(self._stage.sockets)
        match step:
            case {"do": command}:
                self._paused = False
                self._program.tell(self._case.name, _with_sound(command))
                if command["do"] == "pause":
                    await self._until(lambda: self._paused, "the program does not say that it has paused")
            case {"say": message}:
                await self._until(lambda: self._stage.judge.has_heard(over or 1), f"no hello over {over or 1}")
                try:
                    raw, binary = step.get("raw", False), step.get("binary", False)
                    await self._stage.say(message, over, raw=raw, binary=binary)
                except ConnectionClosed:
                    raise Unfulfilled("the client has closed the connection") from None
            case {"break": "abort"}:
                await self._stage.cut(over)
            case {"break": int(code)}:
                await self._stage.close(code, over)
            case _:
                await self._check(step, over)

    async def _check(self, step: Mapping[str, Any], over: int | None) -> None:
        match step:
            case {"expect": pattern}:
                for _ in range(step.get("times", 1)):
                    await self._until(lambda: self._take(pattern, over), "no such frame came")
            case {"never": pattern}:
                self._refuse(pattern, over)
            case {"shows": pattern}:
                await self._until(lambda: self._see(pattern), "it was not shown")
            case {"ends": why}:
                await self._until(lambda: self._ended is not None, "the client has not ended")
                if self._ended != why:
                    raise Unfulfilled(f"it ended by {self._ended!r}")
            case {"counts": what, "is": number}:
                await self._until(lambda: self._count(what, step) == number, f"not {number} of them")
            case {"counts": what, "at_most": number}:
                if (count := self._count(what, step)) > number:
                    raise Unfulfilled(f"{count} of them")

    def _take(self, pattern: Any, over: int | None) -> bool:
        """Take the next frame that matches; what came before it is of no interest any more."""
        for index, (number, frame) in enumerate(self._stage.unmatched):
            if (over is None or number == over) and matches(pattern, frame):
                del self._stage.unmatched[: index + 1]
                return True
        return False

    def _refuse(self, pattern: Any, over: int | None) -> None:
        """Look at all that came since the case began: such a frame must not be among it."""
        for said in self._stage.judge.said:
            if (over is None or said.over == over) and matches(pattern, said.frame):
                raise Unfulfilled(f"it came: {said.frame} over {said.over}")

    def _see(self, pattern: Any) -> bool:
        for index in range(self._unseen, len(self._shown)):
            if matches(pattern, self._shown[index]):
                self._unseen = index + 1
                return True
        return False

    def _count(self, what: str, step: Mapping[str, Any]) -> int:
        match what:
            case "connections":
                return len(self._stage.sockets)
            case "closed":
                return len(self._stage.ended)
            case "handshakes":
                return len(self._stage.tokens)
            case "tokens":
                return len(set(self._stage.tokens))
            case "shown":
                return sum(matches(step["field"], frame) for frame in self._shown)
            case "sent":
                return sum(matches(step["field"], said.frame) for said in self._stage.judge.said)
            case _:
                raise ValueError(f"nothing is counted by {what!r}")

    def _report(self, report: dict[str, Any]) -> None:
        match report:
            case {"shown": dict(frame)}:
                self._shown.append(frame)
            case {"ended": str(why)}:
                self._ended = why
            case {"did": "pause"}:
                self._paused = True
            case {"failed": str(why)} | {"broken": str(why)}:
                self._broken = why
        self._moved.set()

    async def _until(self, condition: Callable[[], bool], complaint: str) -> None:
        try:
            async with within(self._patience):
                while not condition():
                    if self._broken:
                        raise Unfulfilled(f"the program: {self._broken}")
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise Unfulfilled(complaint) from None

    def _story(self) -> str:
        said = [f"{one.over}:{_short(one.frame)}" for one in self._stage.judge.said[-8:]]
        shown = [_short(frame) for frame in self._shown[-5:]]
        return f"it has said {said}, shown {shown}, ended {self._ended}"


def _with_sound(command: Mapping[str, Any]) -> dict[str, Any]:
    """Write out ``samples`` [value, count] as PCM16 in base64."""
    told = dict(command)
    if "samples" in told:
        value, count = told.pop("samples")
        told["pcm"] = base64.b64encode(int(value).to_bytes(2, "little", signed=True) * count).decode()
    return told


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 160 else text[:157] + "…"
