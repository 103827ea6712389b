"""The end of a child process: it writes nothing of its parent's sessions, and releases its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from segue.lease.item import GuardItem
from tests.support.programs import Programs
from tests.unit.session.ended_programs import AGENT, item, texts

FORKS = {
    "falls off its end": "pass",
    "calls sys.exit": "sys.exit(0)",
    "collects the parent's manager": "del manager, agent; gc.collect(); time.sleep(0.1)",
    "uses another session": """
    mine = GuardedFileSessionManager("mine", sys.argv[1], acquire_timeout=0.0)
    Agent(model=FakeModel(), session_manager=mine, callback_handler=None)("Hello")
""",
    "is refused": """
    try:
        agent("Child")
    except Exception as error:
        assert "forked from" in str(error), error
    else:
        raise AssertionError
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORKS)
def test_a_forked_child_that_ends_writes_nothing_of_its_parents_sessions(
    program: Programs, tmp_path: Path, name: str
) -> None:
    ended = program(
        f"""{AGENT}
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
agent("Hello")
from tests.unit.session.ended_programs import written
before = written(sys.argv[1])
if not os.fork():
    {FORKS[name]}
else:
    assert os.wait()[1] == 0
    assert written(sys.argv[1]) == before, "the child has written"
    agent("Parent")
""",
        tmp_path,
    )

    assert ended.stderr == ""
    assert texts(tmp_path) == ["Hello", "You said: Hello", "Parent", "You said: Parent"]
    for path in tmp_path.glob("guard/default/*.json"):
        assert not GuardItem.parse(json.loads(path.read_text())).held, path


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_releases_its_own_and_nothing_else(
    program: Programs, tmp_path: Path, method: str
) -> None:
    (program := tmp_path / "program.py").write_text(
        f"""
import multiprocessing, os, sys
sys.path.insert(0, os.getcwd())
from strands import Agent
from segue import GuardedFileSessionManager
from tests.support.fake_model import FakeModel
from tests.unit.session.ended_programs import written

def child(directory):
    global kept
    kept = Agent(
        model=FakeModel(), callback_handler=None,
        session_manager=GuardedFileSessionManager("mine", directory, acquire_timeout=0.0),
    )
    kept("Hello")

if __name__ == "__main__":
    agent = Agent(
        model=FakeModel(), callback_handler=None,
        session_manager=GuardedFileSessionManager("talk", sys.argv[1], acquire_timeout=0.0),
    )
    agent("Hello")
    before = written(sys.argv[1])
    process = multiprocessing.get_context({method!r}).Process(target=child, args=(sys.argv[1],))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert written(sys.argv[1]) == before, "the child has written"
    GuardedFileSessionManager("mine", sys.argv[1], acquire_timeout=0.0).open_sync()
"""
    )

    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", program, tmp_path / "sessions"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert not item(tmp_path / "sessions").held
