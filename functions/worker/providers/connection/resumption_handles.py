"""A provider's own resumption handle, read from where Strands keeps it and checked before it is used.

Gemini sends one every few seconds (``sessionResumptionUpdate``); Strands keeps the newest in memory only, privately.
Nova Sonic and OpenAI Realtime have none: their histories are always replayed. OpenAI Live forks the session that it
stored when Strands restarts it; a successor is told the history.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from shared.log import logger
from worker.providers.counters import count
from worker.providers.table import Provider

MARGIN_SECONDS: Final = 60
"""Seconds before its end within which a handle is not used: clocks differ, and connecting takes its time."""

_ATTRIBUTES: Final = {"GoogleGeminiLiveModel": "_live_session_handle"}
"""The attributes in which Strands' models keep their handle; see the contract test."""


@dataclass(frozen=True, slots=True)
class Handle:
    """A resumption handle.

    Attributes:
        value: What the provider gave; a secret.
        at: When it was given, in milliseconds since 1970. Machines' clocks are compared here, and only here: the
            provider refuses a handle that is too old, and then the history is replayed.
        model_id: Which model gave it.
        after: The tracking id of the newest message that the provider knew of.
        expires_at: From when on it is surely good no more, in the same milliseconds; None: the provider does not say.
            For people who read the record: whether it is used is decided by its age.
    """

    value: str
    at: int
    model_id: str
    after: str
    expires_at: int | None = None

    def record(self) -> dict[str, Any]:
        """Return it as the session records it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


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


class Handles:
    """One model's handles: what the session recorded, and what the provider gives."""

    def __init__(self, model: object, provider: Provider) -> None:
        """Begin with what the model has.

        Args:
            model: Strands' model.
            provider: Who gives them.
        """
        self._provider = provider
        self._recorded: Handle | None = None
        self._value = of_model(model)
        self._given_at = 0

    def load(self, record: Mapping[str, Any]) -> None:
        """Take over what a session recorded of its last connection."""
        self._recorded = recorded(record)

    def discard_recorded(self) -> None:
        """Leave what was recorded alone."""
        self._recorded = None

    def note_handle(self, value: str | None) -> bool:
        """Note what the provider gives; returns whether it is another one."""
        if value is None or value == self._value:
            return False
        self._value, self._given_at = value, _now()
        return True

    def record(self, model_id: str, messages: Sequence[Any]) -> dict[str, Any] | None:
        """Return the newest one as the session records it, None if there is none.

        Args:
            model_id: Which model gave it.
            messages: The history, all of which the provider knows.
        """
        if self._value is None or not messages:
            return None
        newest = str(messages[-1].get("tracking_id", ""))
        seconds = self._provider.handle_seconds.value if self._provider.handle_seconds is not None else None
        expires_at = None if seconds is None else self._given_at + seconds * 1000
        return Handle(self._value, self._given_at, model_id, newest, expires_at).record()

    def usable(self, model_id: str, messages: Sequence[Any]) -> str | None:
        """Return what was recorded, once, if it may be used.

        Args:
            model_id: Which model is to go on.
            messages: The history.
        """
        handle, self._recorded = self._recorded, None
        if handle is None:
            return None
        newest = messages[-1].get("tracking_id") if messages else None
        reason = why_not(handle, self._provider, model_id, newest, _now())
        if reason is None:
            return handle.value
        logger.info("resumption handle not used", provider=self._provider.name, reason=reason)
        count("ModelHandleUnusable", self._provider.name)
        return None


def _now() -> int:
    return int(time.time() * 1000)
