"""A provider's own resumption handle, read from where Strands keeps it and checked before it is used.

Gemini sends one every few seconds (``sessionResumptionUpdate``); Strands keeps the newest in memory only, privately.
Nova Sonic and OpenAI Realtime have none: their histories are always replayed. OpenAI Live forks the session that it
stored when Strands restarts it; a successor is told the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from worker.providers.table import Provider

MARGIN_SECONDS: Final = 60
"""A handle is not used so shortly before its end: clocks differ, and connecting takes its time."""

_ATTRIBUTES: Final = {"GoogleGeminiLiveModel": "_live_session_handle"}
"""Where Strands' models keep their handle; see the contract test."""


@dataclass(frozen=True, slots=True)
class Handle:
    """A resumption handle.

    Attributes:
        value: What the provider gave; a secret.
        at: When it was given, in milliseconds since 1970. Machines' clocks are compared here, and only here: a handle
            that is too old all the same is refused, and then the history is replayed.
        model_id: Which model gave it.
        after: The tracking id of the newest message that the provider knew of.
    """

    value: str
    at: int
    model_id: str
    after: str

    def record(self) -> dict[str, Any]:
        """Return it as the session records it."""
        return {"value": self.value, "at": self.at, "model_id": self.model_id, "after": self.after}


def of_model(model: object) -> str | None:
    """Read the newest handle of one of Strands' models, None if it has none."""
    for base in type(model).__mro__:
        if (attribute := _ATTRIBUTES.get(base.__name__)) is not None:
            value = getattr(model, attribute, None)
            return value if isinstance(value, str) and value else None
    return None


def recorded(connection: Mapping[str, Any]) -> Handle | None:
    """Read a handle from a session's connection record; None if there is none, or not one that is understood."""
    try:
        return Handle(**connection["handle"])
    except (KeyError, TypeError):
        return None


def why_not(handle: Handle, provider: Provider, model_id: str, newest: str | None, now: int) -> str | None:
    """Say why a handle cannot be used, None if it can.

    Args:
        handle: What the session recorded.
        provider: Who is to take it.
        model_id: Which model is to go on.
        newest: The tracking id of the newest message of the history.
        now: Milliseconds since 1970.
    """
    if provider.handle_seconds is None or provider.handle_seconds.value is None:
        return "the provider has none"
    if handle.model_id != model_id:
        return "it is of another model"
    if handle.after != newest:
        return "the conversation has gone on since"
    if now - handle.at > (provider.handle_seconds.value - MARGIN_SECONDS) * 1000:
        return "it is too old"
    return None
