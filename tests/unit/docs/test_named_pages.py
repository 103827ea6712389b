"""Each page that a report of preflight or smoke names is there, with the heading that it names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [*sorted((ROOT / "infra" / "preflight").glob("*.py")), *sorted((ROOT / "smoke").glob("*.py"))]
NAMED = sorted({page for path in SOURCES for page in re.findall(r'"(docs/[^"]+\.md[^"]*)"', path.read_text())})


def headings(page: str) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_reports_name_pages():
    assert len(NAMED) > 8


@pytest.mark.parametrize("named", NAMED)
def test_a_page_that_a_report_names_is_there(named):
    page, _, anchor = named.partition("#")

    assert (ROOT / page).is_file()
    assert not anchor or anchor in headings(page)
