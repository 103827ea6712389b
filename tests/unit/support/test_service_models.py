"""Sessions of botocore share only facts that each would find out by itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from botocore.compat import accepts_kwargs as of_botocore

from tests.support.service_models import accepts_kwargs


class Handler:
    def bound(self, **kwargs: Any) -> None: ...

    def narrow(self, name: str) -> None: ...

    def __call__(self, **kwargs: Any) -> None: ...


def wide(name: str, **kwargs: Any) -> None: ...


@functools.wraps(wide)
def wrapped(name: str) -> None: ...


@pytest.mark.parametrize(
    "function",
    [wide, wrapped, Handler().bound, Handler().narrow, Handler(), functools.partial(wide, "a"), lambda name: name],
)
def test_a_function_takes_any_keywords_or_it_does_not(function: Callable[..., Any]) -> None:
    assert accepts_kwargs(function) == bool(of_botocore(function))
