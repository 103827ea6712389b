"""Methods that one thread at a time may be in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Concatenate, ParamSpec, Protocol, TypeVar


class Exclusive(Protocol):
    """An object that can keep all threads but one out."""

    def exclusive(self) -> AbstractContextManager[object]:
        """Keep all other threads out. The thread that is in may enter again."""


_P = ParamSpec("_P")
_T = TypeVar("_T")
_O = TypeVar("_O", bound=Exclusive)


def locked(method: Callable[Concatenate[_O, _P], _T]) -> Callable[Concatenate[_O, _P], _T]:
    """Let one thread at a time into a method."""

    @functools.wraps(method)
    def holding(self: _O, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self.exclusive():
            return method(self, *args, **kwargs)

    return holding
