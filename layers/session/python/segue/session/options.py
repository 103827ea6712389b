"""Options of all session managers."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from segue.lease.holder_watch import Probe
from segue.lease.settings import LeaseSettings

Durability = Literal["await", "gate"]

DAY_SECONDS = 86_400
"""Seconds of a day of ``retention_days``, always 24 hours."""


class SessionOptions(TypedDict, total=False):
    """Keyword arguments that all session managers share. All have defaults.

    Attributes:
        principal: The owner of the session; part of its key. Default ``"default"``.
        lease: Duration of the lease, and interval of heartbeats. Default 10 s, with a heartbeat every 3 s.
        acquire_timeout: Seconds to wait for another holder before SessionHeld. Default 15.
        durability: ``"await"`` (default): hooks return when their record is durable. ``"gate"``: at once; await
            ``durable()`` before showing anything.
        holder: Name of this process, for people. Default: host and process id.
        endpoint: Address at which this process takes frames, if it does.
        probe: Evidence that another holder is dead.
        retention_days: Days after its last use at which the session expires. Default 365.
        restore_system_prompt: Restore the recorded system prompt instead of the agent's own. Default False.
        max_messages: Restore at most so many messages: whole turns, newest kept. Default: all.
        max_bytes: Restore at most so many bytes of messages. Default: all.
    """

    principal: str
    lease: LeaseSettings
    acquire_timeout: float
    durability: Durability
    holder: str
    endpoint: str | None
    probe: Probe | None
    retention_days: int
    restore_system_prompt: bool
    max_messages: int | None
    max_bytes: int | None


def this_process() -> str:
    """Name this process for people: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The options with their defaults, checked. Fields as in ``SessionOptions``."""

    principal: str = "default"
    lease: LeaseSettings = field(default_factory=LeaseSettings)
    acquire_timeout: float = 15.0
    durability: Durability = "await"
    holder: str = field(default_factory=this_process)
    endpoint: str | None = None
    probe: Probe | None = None
    retention_days: int = 365
    restore_system_prompt: bool = False
    max_messages: int | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse options that cannot work."""
        if self.durability not in {"await", "gate"}:
            raise ValueError(f"durability {self.durability!r} is not valid: 'await' or 'gate'")
        if not _whole(self.retention_days, 1) or not _seconds(self.acquire_timeout):
            raise ValueError(
                f"retention_days {self.retention_days!r}, acquire_timeout {self.acquire_timeout!r}: "
                "whole days, 1 at least, and 0 seconds at least"
            )
        for name, text in (("holder", self.holder), ("endpoint", self.endpoint)):
            if not isinstance(text, str) and (name, text) != ("endpoint", None):
                raise ValueError(f"{name} {text!r} is not valid: a text")
        for name, limit in (("max_messages", self.max_messages), ("max_bytes", self.max_bytes)):
            if limit is not None and not _whole(limit, 0):
                raise ValueError(f"{name} {limit!r} is not valid: a whole number, 0 at least, or None for no limit")


def _seconds(number: object) -> bool:
    return isinstance(number, int | float) and number >= 0


def _whole(number: object, least: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= least
