"""Sessions of which a restore gives only a part to the agent."""

from __future__ import annotations

from typing import Any

from tests.support.sessions import manager_of
from tests.unit.session.edits import Build, Sessions


def said(text: str, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}], "tracking_id": text, **more}


def exchange(*numbers: int) -> list[dict[str, Any]]:
    return [message for number in numbers for message in (said(f"Q{number}"), said(f"A{number}", "assistant"))]


async def opened(sessions: Sessions, build: Build, **options: Any) -> Any:
    limits = {name: options.pop(name) for name in ("max_messages", "max_bytes") if name in options}
    manager = sessions(**limits)
    await manager.open()
    return build(manager, **options)


async def closed(agent: Any) -> None:
    await manager_of(agent).close()
