"""The directory that a program leaves when it has ended."""

from __future__ import annotations

import json
from pathlib import Path

from segue import GuardedFileSessionManager
from segue.lease.item import GuardItem

AGENT = """
manager = GuardedFileSessionManager("talk", sys.argv[1], acquire_timeout=0.0)
agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
"""
"""An agent as Strands documents it. It waits for no other holder: if there is one, the program fails."""


def item(directory: Path) -> GuardItem:
    return GuardItem.parse(json.loads((directory / "guard" / "default" / "talk.json").read_text()))


def written(directory: str) -> tuple[object, ...]:
    """Return the attributes that only a holder's writes change, heartbeats excepted."""
    found = item(Path(directory))
    return found.epoch, found.acquire_id, found.head, found.commit_id


def texts(directory: Path) -> list[str]:
    """Return the session's texts; reading them needs a session that is free."""
    assert not item(directory).held
    with GuardedFileSessionManager("talk", directory, acquire_timeout=0.0) as manager:
        messages = manager.history.agents["default"].messages
    return [message["content"][0]["text"] for message in messages]
