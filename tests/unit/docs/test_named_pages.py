"""Each page that a report of preflight or smoke names is there, with the heading that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [*sorted((ROOT / "infra" / "preflight").glob("*.py")), *sorted((ROOT / "smoke").glob("*.py"))]
NAMED = sorted({page for path in SOURCES for page in re.findall(r'"(docs/[^"]+\.md[^"]*)"', path.read_text())})


def headings(page: str) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def walk(folder: Path) -> Iterator[Path]:
    """The files below a folder that are the project's own."""
    for path in folder.iterdir():
        if path.is_dir() and path.name not in {"node_modules", "dependencies", "dist", "__pycache__"}:
            yield from walk(path)
        elif path.suffix in {".py", ".ts"}:
            yield path


def test_reports_name_pages():
    assert len(NAMED) > 8


@pytest.mark.parametrize("named", NAMED)
def test_a_page_that_a_report_names_is_there(named):
    page, _, anchor = named.partition("#")

    assert (ROOT / page).is_file()
    assert not anchor or anchor in headings(page)


def test_the_address_of_the_repository_is_left_open_in_one_place():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    texts = {page.name: page.read_text(encoding="utf-8") for page in pages}
    assert [name for name, text in texts.items() for _ in re.findall("<address of", text)] == ["install.md"]
    for name, text in texts.items():
        assert "$REPOSITORY" not in text or "(install.md)" in text or name == "install.md"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md"])
def test_a_file_that_a_page_names_is_there(name):
    """``session/heartbeat.py``, or ``heartbeat.py`` after another file of its folder: the end of a path."""
    text = (ROOT / name).read_text(encoding="utf-8")
    folders = ("layers", "functions", "infra", "local", "benchmarks", "smoke", "tests", "web")
    paths = [f"/{path.relative_to(ROOT)}" for folder in folders for path in walk(ROOT / folder)]

    named = set(re.findall(r"`([\w./-]*[\w-]\.(?:py|ts))`", text))
    assert [each for each in sorted(named) if not any(path.endswith(f"/{each}") for path in paths)] == []
