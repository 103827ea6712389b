"""The meaning of a connection's end: another connection, with the next best offer or after a pause, or an outage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from strands.bidi.models import ConnectionTimeoutError

from shared.log import logger
from shared.provider_errors import AdditionRefused, Kind, ProviderError, ProviderRefusal, classify
from worker.providers.connection.activity import Activity
from worker.providers.connection.connector import Connector
from worker.providers.connection.reconnect_limits import Reconnections
from worker.providers.counters import count


class StreamLost(Exception):  # noqa: N818 - what happened
    """Raised when the provider ends the stream without an error."""


class ConnectionEndings:
    """Policy of one conversation for its lost connections: which of them are replaced."""

    def __init__(
        self,
        provider: str,
        activity: Activity,
        reconnections: Reconnections,
        on_trouble: Callable[[ProviderError], None],
    ) -> None:
        """Follow a conversation.

        Args:
            provider: The provider's name.
            activity: Whether something is under way.
            reconnections: How many there may be.
            on_trouble: Called with errors that the conversation survives.
        """
        self._provider = provider
        self._activity = activity
        self._reconnections = reconnections
        self._on_trouble = on_trouble

    async def raise_end(self, error: Exception | None, connector: Connector) -> NoReturn:
        """Raise what the end of a connection means to the agent.

        Args:
            error: What the provider, or its client, ended it with.
            connector: Made the connection.

        Raises:
            ConnectionTimeoutError: The connection is to be replaced.
            Exception: The provider's error, if another connection would not help.
        """
        error = StreamLost() if error is None else error
        if isinstance(error, ConnectionTimeoutError):
            raise error
        if isinstance(error, AdditionRefused):
            connector.taken()  # not a half of the history: nothing is wrong with the whole
            logger.warning("the model does not take additions", kind=error.code)
            count("ModelOfferRefused", self._provider)
            raise ConnectionTimeoutError("the provider refused an addition to its history") from error
        meaning = classify(error)
        # Of a filter it has to be told whether it is about what was said on this connection, or about the history.
        said = meaning.kind is Kind.CONTENT and (self._activity.heard_of or self._activity.owed)
        if said and self._reconnections.may_reconnect(meaning.kind):
            self.survive(error)
            connector.taken()
            self._reconnections.count_attempt(meaning.kind)
            raise ConnectionTimeoutError("the provider refused what was said last") from error
        count(meaning.metric, self._provider)
        if not said and not self._activity.heard_of and connector.next_best(error):
            raise ConnectionTimeoutError("the provider refused how to go on") from error
        if not self._reconnections.may_reconnect(meaning.kind):
            raise error
        pause = self._reconnections.count_attempt(meaning.kind)
        logger.warning("model connection lost", provider=self._provider, kind=type(error).__name__, pause=pause)
        await asyncio.sleep(pause)
        raise ConnectionTimeoutError("the connection to the model was lost") from error

    def survive(self, error: Exception) -> None:
        """Report what the conversation survives."""
        meaning = classify(error)
        code = error.code if isinstance(error, ProviderRefusal) else type(error).__name__
        logger.warning("the model failed", provider=self._provider, kind=meaning.kind.value, code=code)
        count(meaning.metric, self._provider)
        self._activity.refused |= meaning.kind is Kind.CONTENT
        self._on_trouble(meaning)
