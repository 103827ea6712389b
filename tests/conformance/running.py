"""All cases side by side with one program."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from tests.conformance.cases import Case
from tests.conformance.playing import PATIENCE_SECONDS, Play
from tests.conformance.program import Program
from tests.conformance.server import ScriptedServer


@dataclass
class Verdict:
    """The outcome of all cases.

    Attributes:
        client: as it calls itself.
        faults: by case, of those that were played.
        skipped: by case, which abilities are missing.
    """

    client: str
    faults: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, Collection[str]] = field(default_factory=dict)

    @property
    def failed(self) -> dict[str, list[str]]:
        """The cases with faults."""
        return {case: faults for case, faults in self.faults.items() if faults}


async def judge(command: str, cases: Iterable[Case], patience: float = PATIENCE_SECONDS) -> Verdict:
    """Play cases with the program that a command starts; a step may take ``patience`` seconds."""
    program = await Program.start(command)
    verdict = Verdict(program.name)
    try:
        async with ScriptedServer() as server, asyncio.TaskGroup() as group:
            tasks = {}
            for case in cases:
                if missing := case.needs - program.can:
                    verdict.skipped[case.name] = missing
                else:
                    tasks[case.name] = group.create_task(Play(case, program, server, patience).run())
            for name, task in tasks.items():
                verdict.faults[name] = await task
    finally:
        await program.end()
    return verdict
