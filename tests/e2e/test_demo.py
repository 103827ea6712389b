"""The acceptance test: the whole story on the emulator, as ``make demo`` plays it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.local_stack import command

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.e2e
@pytest.mark.emulator
@pytest.mark.timeout(800)
@pytest.mark.parametrize(
    "options",
    [("--transport", "direct"), ("--provider", "openai-realtime")],
    ids=["offline, directly", "openai-realtime, by the API"],
)
def test_a_call_goes_on_through_redeployments_a_killed_worker_and_a_stopped_one(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """Each takes a minute: by the API with one fake of a provider, the others' are run by hand (docs/providers.md)."""
    demo = [*command(tmp_path), "demo", *options]
    played = subprocess.run(demo, cwd=ROOT, capture_output=True, text=True, timeout=760, check=False)
    assert played.returncode == 0, played.stdout + played.stderr
    assert "every answer was right, no frame was lost, and none took effect or was let through" in played.stdout
