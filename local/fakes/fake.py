"""Base of all fake providers."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import msgspec

from local.fakes.conversation import FakeConversation

LOOPBACK = "127.0.0.1"


class Broken(Exception):  # noqa: N818 - what the client did
    """Raised when the client sends what the provider's schema does not allow."""


class Fake(abc.ABC):
    """A provider on loopback.

    Attributes:
        conversations: Every connection that was opened, in order.
        problems: What clients sent that the provider's schema does not allow.
        refuse: Called when a connection was told everything; a text refuses it.
        pace: Seconds taken to speak a second of audio.
        reject: HTTP status to answer the next connections with.
        plays: Whether it takes its answers to be played in real time, and speech over one that is still being played
            for an interruption. Otherwise only what is still being generated can be interrupted.
        idle_seconds: Seconds without audio after which it ends a connection, None for never.
        words_generated: Words after which an answer of the next connections waits to be interrupted; None if all are
            generated to their end.
        failing: Codes with which the next responses fail, where the provider has such.
        filtering: What the provider says of the next answers in their place: its filter has found something in them.
    """

    def __init__(self, *, pace: float = 0.0) -> None:
        self.conversations: list[Any] = []
        self.problems: list[str] = []
        self.refuse: Callable[[Any], str | None] = lambda _: None
        self.reject: list[int] = []
        self.failing: list[str] = []
        self.filtering: list[str] = []
        self.pace = pace
        self.plays = False
        self.idle_seconds: float | None = None
        self.words_generated: int | None = None

    @property
    def conversation(self) -> Any:
        """The newest connection."""
        return self.conversations[-1]

    @abc.abstractmethod
    async def start(self) -> None:
        """Listen on a free port."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """End all connections and stop listening."""

    @abc.abstractmethod
    def environment(self) -> dict[str, str]:
        """The variables with which a worker talks to this fake."""

    async def __aenter__(self) -> Self:
        """Start to serve."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    def read[Message](self, kind: type[Message], data: bytes | str | Any) -> Message:
        """Read a client's message as strictly as its schema says.

        Raises:
            Broken: It is not allowed; noted as a problem, too.
        """
        try:
            if isinstance(data, bytes | str):
                return msgspec.json.decode(data, type=kind)
            return msgspec.convert(data, type=kind)
        except msgspec.MsgspecError as error:
            raise self.broken(f"{error}: {str(data)[:300]}") from error

    def broken(self, problem: str) -> Broken:
        """Note a problem."""
        self.problems.append(problem)
        return Broken(problem)

    @contextlib.asynccontextmanager
    async def lasting(self, conversation: FakeConversation) -> AsyncIterator[None]:
        """Keep a connection while it lasts; its talk ends with it, and a mistake in here is a problem, too."""
        self.conversations.append(conversation)
        conversation.words_generated = self.words_generated
        if self.idle_seconds is not None:
            conversation.watch(self.idle_seconds)
        try:
            yield
        except ConnectionError:
            raise  # the client left
        except Exception as error:
            self.problems.append(f"{type(error).__name__}: {error}")
            raise
        finally:
            await conversation.finish()
