"""Tools that are used twice under one id."""

from __future__ import annotations

from typing import Any


def results(messages: list[Any]) -> list[str]:
    """The texts of all results, in order."""
    blocks = [block["toolResult"] for message in messages for block in message["content"] if "toolResult" in block]
    return [block["content"][0]["text"] for block in blocks]


# Repairs, by themselves.


def use(tool_use_id: str, what: str = "x") -> dict[str, Any]:
    return {"toolUse": {"toolUseId": tool_use_id, "name": "pay", "input": {"what": what}}}


def result(tool_use_id: str, text: str = "ok") -> dict[str, Any]:
    return {"toolResult": {"toolUseId": tool_use_id, "status": "success", "content": [{"text": text}]}}


def said(role: str, *blocks: Any, **metadata: Any) -> dict[str, Any]:
    return {"role": role, "content": list(blocks), **metadata}
