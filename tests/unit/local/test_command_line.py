"""Options of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from local.cli import main


@pytest.mark.parametrize("given", ["SEGUE_LINGER_SECONDS", "=5", ""])
def test_a_variable_without_a_name_or_a_value_is_refused_before_anything_starts(tmp_path: Path, given: str):
    result = CliRunner().invoke(main, ["--home", str(tmp_path / "home"), "up", "--variable", given])
    assert result.exit_code == 2
    assert "NAME=VALUE" in result.output
    assert not (tmp_path / "home").exists()
