"""The wheel, installed with its requirements and nothing of this project: on the oldest Python and Strands there are.

Where the interpreter or the package registry is not there, the tests that need it are skipped and say so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.matrix.environments import (
    ENVIRONMENT,
    OLDEST,
    PYTHONS,
    NotInstalled,
    installed,
    interpreter,
    round_trip,
    version_of,
    wheel,
)
from tests.support.stage import AWS_ENVIRONMENT, Stage

TALK = """
import asyncio, sys
from strands import Agent
from segue import GuardedS3SessionManager
from segue.testing import provision
from segue.testing.offline import OfflineTextModel

bucket, table, endpoint = sys.argv[1:]
provision(bucket, table, endpoint)

async def says(sentence):
    async with GuardedS3SessionManager("talk", bucket=bucket, lock_table=table, endpoint_url=endpoint) as manager:
        return str(await Agent(
            model=OfflineTextModel(), session_manager=manager, callback_handler=None
        ).invoke_async(sentence))

asyncio.run(says("My name is Alice"))
print(asyncio.run(says("What is my name?")).strip())
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the wheel: the oldest that the library supports, with the oldest Strands."""
    oldest = interpreter(PYTHONS[0])
    home = tmp_path_factory.mktemp("installed") / "environment"
    try:
        return installed(home, oldest or Path(sys.executable), built, OLDEST, extras="[cli]")
    except NotInstalled as error:
        pytest.skip(f"THE WHEEL WAS NOT INSTALLED, the registry has or answers nothing: {error}")


def test_the_wheel_is_the_library_and_says_what_it_needs(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(archive.read(metadata).decode())

    assert {name.partition("/")[0] for name in names} == {"segue", metadata.partition("/")[0]}
    assert not [name for name in names if "__pycache__" in name]
    assert "segue/py.typed" in names
    assert told["Requires-Python"] == ">=3.11"
    assert told["Author"]
    assert told.get_all("Project-URL")
    needed = [line for line in told.get_all("Requires-Dist") if "extra ==" not in line]
    assert {line.split("<")[0].split(">")[0] for line in needed} == {"boto3", "msgspec", "strands-agents"}
    assert "[bidi]" not in "".join(needed), "text-only users need no audio packages"


@pytest.mark.slow
def test_the_oldest_interpreter_takes_sessions_through_the_oldest_strands(python: Path, tmp_path: Path) -> None:
    outcomes = round_trip(python, tmp_path)

    version = version_of(python, "strands-agents")
    assert version.startswith(OLDEST.removesuffix("*"))
    assert outcomes.pop("nova sonic") != "ok", "its client is an extra"
    assert outcomes == dict.fromkeys(["private names", "modules", "text", "voice", "fence", "moved"], "ok")
    if interpreter(PYTHONS[0]) is None:
        pytest.skip(f"passed, BUT NOT ON PYTHON {PYTHONS[0]}: no such interpreter on this machine")


@pytest.mark.slow
@pytest.mark.emulator
def test_the_installed_wheel_talks_to_s3_and_its_command_shows_the_session(
    python: Path, emulated: Stage, tmp_path: Path
) -> None:
    environment = {**ENVIRONMENT, **AWS_ENVIRONMENT}

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    names = (emulated.bucket, emulated.lock_table, emulated.endpoint_url or "")
    assert run(python, "-I", "-c", TALK, *names) == "Your name is Alice.\n"

    segue = python.parent / "segue"
    assert run(segue, "--version").startswith("segue 0.")
    where = ("--bucket", names[0], "--lock-table", names[1], "--endpoint-url", names[2])
    (session,) = json.loads(run(segue, "sessions", "list", *where, "--json", "--no-watch"))
    assert (session["session"], session["state"]) == ("default/talk", "free")
