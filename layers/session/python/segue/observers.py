"""Observers of what the library does, for metrics. Without one nothing is measured.

They run on the storage loop, in the middle of its work: count, and return. ``segue.otel`` is one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

logger = logging.getLogger(__name__)

Happening: TypeAlias = Literal["acquired", "held", "restored", "committed", "lost"]
"""A session was acquired, or another holder kept it; it was read; records were committed; its lease was lost."""

Observer: TypeAlias = Callable[[Happening, float, int], None]
"""Callback with what happened, how many seconds it took, and how many records it was about."""

_OBSERVERS: Final[list[Observer]] = []


def observe(observer: Observer) -> Callable[[], None]:
    """Call an observer from now on; returns a function that ends this."""
    _OBSERVERS.append(observer)

    def end() -> None:
        if observer in _OBSERVERS:
            _OBSERVERS.remove(observer)

    return end


def tell(what: Happening, seconds: float = 0.0, records: int = 0) -> None:
    """Tell all observers. One that fails is logged, and disturbs nothing."""
    for observer in tuple(_OBSERVERS):
        try:
            observer(what, seconds, records)
        except Exception:
            logger.exception("an observer of %r failed", what)
