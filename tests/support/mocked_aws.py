"""AWS in this process (moto), as the tests use it: botocore's clients ask it, and nothing else does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def mocked_aws() -> Iterator[None]:
    """Let AWS be in this process, empty.

    moto stands in for ``requests`` too, by some 3,500 patterns that it makes anew each time. No code here asks AWS so.
    """
    import moto
    from moto.core import models

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "RESPONSES_METHODS", [])
        with moto.mock_aws():
            yield
