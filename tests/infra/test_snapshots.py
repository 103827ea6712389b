"""A tripwire: the templates of the default stage and of the local one, as they were when somebody last looked.

A change that is meant is accepted with

    SEGUE_RENEW_SNAPSHOTS=1 .venv/bin/python -m pytest tests/infra/test_snapshots.py

and the difference is read in the commit. Hashes of assets are masked, so that code may change without it.
"""

import json
import os
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "snapshots"
RENEW = "SEGUE_RENEW_SNAPSHOTS"
HASH = re.compile(r"[0-9a-f]{64}")
SYSTEM = {"x86_64": "<machine>", "arm64": "<machine>", "X86_64": "<machine>", "ARM64": "<machine>"}


def masked(content, *, machine_differs):
    """The template without what changes by itself: hashes of code, and the local stage's machine."""
    if isinstance(content, dict):
        return {
            masked(k, machine_differs=False): masked(v, machine_differs=machine_differs) for k, v in content.items()
        }
    if isinstance(content, list):
        return [masked(each, machine_differs=machine_differs) for each in content]
    if isinstance(content, str):
        text = SYSTEM.get(content, content) if machine_differs else content
        return HASH.sub("<hash>", text)
    return content


@pytest.mark.parametrize("name", ["dev", "local"])
@pytest.mark.parametrize("stack", ["data", "service"])
def test_the_template_is_the_one_that_was_looked_at(request, name, stack):
    content = getattr(request.getfixturevalue(name), stack).content
    text = json.dumps(masked(content, machine_differs=name == "local"), indent=1, sort_keys=True) + "\n"
    snapshot = FOLDER / f"{name}-{stack}.json"
    if os.environ.get(RENEW):
        FOLDER.mkdir(exist_ok=True)
        snapshot.write_text(text, encoding="utf-8")

    assert text == snapshot.read_text(encoding="utf-8"), (
        f"if this change is meant: {RENEW}=1 pytest tests/infra/test_snapshots.py"
    )
