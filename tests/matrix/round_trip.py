"""Sessions of text and voice that are closed and restored, with an installed ``segue`` and nothing else.

python tests/matrix/round_trip.py FOLDER

Prints a line of JSON for each step: ``{"step": …, "outcome": "ok"}``, or what went wrong. Exit code: 0 all are ok.
This file is read by the oldest interpreter that the library supports.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import pkgutil
import sys
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

EXTRAS = {"click", "rich", "websockets", "opentelemetry"}
"""Packages of the optional extras: a module may need one of them, and nothing else that is missing."""


def modules() -> str:
    """Import every module of the library."""
    import segue

    absent = set()
    for module in pkgutil.walk_packages(segue.__path__, "segue."):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            absent.add((error.name or "").partition(".")[0])
        except SystemExit:
            absent.add("click")
    assert absent <= EXTRAS, f"{sorted(absent - EXTRAS)} are imported and no dependency names them"
    return "ok"


def private_names() -> str:
    """Find what the library reaches in Strands and is not public."""
    from segue.strands.private import missing

    assert not missing(), f"this release of Strands lacks {missing()}"
    return "ok"


async def text(folder: Path) -> str:
    """Talk in text, close, restore, and answer from the history."""
    from strands import Agent

    from segue import GuardedFileSessionManager
    from segue.testing.offline import OfflineTextModel

    def agent(manager: GuardedFileSessionManager) -> Agent:
        return Agent(model=OfflineTextModel(), session_manager=manager, callback_handler=None)

    async with GuardedFileSessionManager("text", folder) as manager:
        await agent(manager).invoke_async("My name is Alice")
    async with GuardedFileSessionManager("text", folder) as manager:
        again = agent(manager)
        assert len(again.messages) == 2, again.messages
        answer = await again.invoke_async("What is my name?")
        assert "Alice" in str(answer), str(answer)
    return "ok"


async def voice(folder: Path) -> str:
    """Talk to a voice agent, close, restore, and answer from the history."""
    from strands.bidi import BidiAgent

    from segue import GuardedFileSessionManager
    from segue.testing.offline import OfflineVoiceModel

    async def says(sentence: str) -> str:
        async with GuardedFileSessionManager("voice", folder) as manager:
            agent = BidiAgent(model=OfflineVoiceModel(pace=0), session_manager=manager)
            await agent.start()
            await agent.send(sentence)
            async for event in agent.receive():
                if event.get("type") == "bidi_response_stop":
                    break
            await agent.stop()
            return " ".join(block.get("text", "") for message in agent.messages for block in message["content"])

    assert "Alice" in await says("My name is Alice")
    told = await says("What is my name?")
    assert "Your name is Alice" in told, told
    return "ok"


async def fence(folder: Path) -> str:
    """Try to write a session that has a holder."""
    from strands import Agent

    from segue import GuardedFileSessionManager, SessionHeld
    from segue.admin import Sessions
    from segue.testing.offline import OfflineTextModel

    async with GuardedFileSessionManager("fence", folder) as manager:
        await Agent(model=OfflineTextModel(), session_manager=manager, callback_handler=None).invoke_async("Hello")
        try:
            await asyncio.to_thread(Sessions.directory(folder).delete, "fence")
        except SessionHeld:
            return "ok"
    raise AssertionError("a session that has a holder was deleted")


async def moved(folder: Path) -> str:
    """Copy a session from Strands' own manager, and back into one."""
    from strands import Agent
    from strands.session import FileSessionManager, SnapshotSessionManager
    from strands.storage import LocalFileStorage

    from segue.admin import Sessions
    from segue.testing.offline import OfflineTextModel

    def old() -> FileSessionManager:
        return FileSessionManager("old", storage_dir=str(folder / "old"))

    agent = Agent(model=OfflineTextModel(), session_manager=old(), callback_handler=None)
    await agent.invoke_async("My name is Alice")
    there = SnapshotSessionManager("new", storage=LocalFileStorage(str(folder / "new")))

    def move() -> dict[str, int]:
        sessions = Sessions.directory(folder)
        sessions.import_(old(), "moved")
        return sessions.export("moved", there).messages

    assert await asyncio.to_thread(move) == {"default": 2}
    return "ok"


def nova_sonic() -> str:
    """Import Nova Sonic's model. Its client is an extra, and needs Python 3.12."""
    try:
        from strands.bidi.models import BedrockNovaSonicModel  # noqa: F401
    except ModuleNotFoundError as error:
        return f"needs segue[bidi] ({error.name} is missing)"
    except ImportError as error:
        return f"refused: {error}"
    return "ok"


Step = Callable[[Path], "str | Awaitable[str]"]
STEPS: dict[str, Step] = {
    "private names": lambda _: private_names(),
    "modules": lambda _: modules(),
    "text": text,
    "voice": voice,
    "fence": fence,
    "moved": moved,
    "nova sonic": lambda _: nova_sonic(),
}


async def outcome_of(step: Step, folder: Path) -> str:
    """Do one step; an error is its outcome."""
    try:
        done = step(folder)
        return done if isinstance(done, str) else await done
    except Exception as error:  # noqa: BLE001 - whatever a release does
        return f"{type(error).__name__}: {error}".splitlines()[0]


async def main(folder: Path) -> int:
    """Do all steps."""
    fine = True
    for name, step in STEPS.items():
        outcome = await outcome_of(step, folder)
        fine &= name == "nova sonic" or outcome == "ok"
        print(json.dumps({"step": name, "outcome": outcome}), flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(asyncio.run(main(Path(sys.argv[1]))))
