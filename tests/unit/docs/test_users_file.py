"""The linters of the house do not judge the user's file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.constants import ROOT

UGLY = "import os,sys\nfrom os import *\ndef build_agent(m):\n  x = lambda: eval('1')\n  print( m )\n"
RUFF = str(Path(sys.executable).parent / "ruff")


@pytest.mark.parametrize(("name", "code"), [("agent.py", 0), ("app.py", 1)])
def test_ruff_leaves_the_users_file_alone_and_no_other(tmp_path, name, code):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file = tmp_path / "functions" / "worker" / name
    file.parent.mkdir(parents=True)
    file.write_text(UGLY)
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([RUFF, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout
