"""The documentation's site can be built, every link and anchor in it leads somewhere, and the API is in it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from infra.constants import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_page_is_in_the_site(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    for page in pages:
        name = page.parent if page.name in {"README", "index"} else page
        assert (site / name / "index.html").is_file(), page


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_api_is_made_from_the_docstrings(site):
    page = (site / "reference" / "library" / "index.html").read_text(encoding="utf-8")
    for name in ("segue.GuardedS3SessionManager", "segue.errors.SessionFenced", "segue.admin.sessions.Sessions.fork"):
        assert f'id="{name}"' in page, name


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_site_fetches_nothing_from_elsewhere(site):
    page = (site / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<(?:script|link)[^>]+(?:src|href)=\"https?://", page) == []
