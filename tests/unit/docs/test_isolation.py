"""Each attempt in the table of isolation names tests, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROWS = {
    line.split("|")[1].strip(): line.rsplit("|", 2)[1].strip()
    for line in (ROOT / "docs" / "isolation.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| attempt")
}
"""Each attempt, and the tests of it."""


def test_the_table_is_read():
    assert len(ROWS) > 20


@pytest.mark.parametrize("attempt", [attempt for attempt, tests in ROWS.items() if tests != "the same"])
def test_the_tests_that_a_row_names_are_there(attempt):
    found = re.findall(r"(e2e|`[\w/]+\.py`)(?: `(test_\w+)`)?", ROWS[attempt])
    assert found
    for file, test in found:
        name = "test_isolation.py" if file == "e2e" else file.strip("`").rpartition("/")[2]
        folders = ("tests/e2e",) if file == "e2e" else ("tests/unit/gateway", "tests/unit/worker", "tests/infra")
        (path,) = [ROOT / folder / name for folder in folders if (ROOT / folder / name).exists()]
        assert not test or f"def {test}(" in path.read_text(encoding="utf-8"), f"{name} has no {test}"
