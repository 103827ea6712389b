"""The size of the built page: all that a browser loads, compressed as CloudFront sends it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

BUILT = Path(__file__).resolve().parents[3] / "web" / "page" / "dist"

MOST_BYTES = 120_000


def test_the_page_is_small() -> None:
    if not BUILT.is_dir():
        pytest.fail("the page is not built: run `make setup`")
    sizes = {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in BUILT.rglob("*") if path.is_file()}
    assert {"index.html"} < set(sizes)
    assert sum(sizes.values()) <= MOST_BYTES, sizes
