"""Options for the place of sessions, exit codes, and the error output."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import signal
import subprocess
import sys
import threading
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from segue.cli.location import Place
from segue.cli.output import progress, waiting
from segue.session.runtime import Runtime
from segue.strands.s3 import open_stores
from tests.support.waiting import eventually, within

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_ctrl_c_is_noticed_if_the_signal_does_not_wake_who_waits(directory):
    """A signal that another thread takes leaves the main one waiting, as one does that comes just before it waits."""
    place = Place(directory, *[None] * 3, "", *[None] * 3)
    over, ended, main = asyncio.Event(), threading.Event(), threading.main_thread().ident

    async def work(_stores, _clock):
        await eventually(lambda: sys._current_frames()[main].f_code is threading.Condition.wait.__code__)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        with contextlib.suppress(TimeoutError):
            async with within(10):
                await over.wait()
        ended.set()

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    with pytest.raises(KeyboardInterrupt):
        place.run(work)
    assert not ended.is_set()
    Runtime.shared().loop.call_soon_threadsafe(over.set)
    assert ended.wait(10)


@pytest.fixture
def bucket(stage):
    return ["--bucket", stage.bucket, "--lock-table", stage.lock_table, "--region", "us-east-1"]


@pytest.fixture
def in_bucket(stage):
    def at(prefix=""):
        runtime = Runtime.shared()
        opened = open_stores(
            runtime, bucket=stage.bucket, lock_table=stage.lock_table, prefix=prefix, region_name="us-east-1"
        )
        return runtime.run_sync(opened)

    return at


@pytest.mark.slow
def test_commands_work_on_a_bucket_and_a_table(keep, run, facts, conversation, bucket, in_bucket):
    keep("default/talk", *conversation, within=in_bucket())

    assert [one["session"] for one in facts("list", place=bucket)] == ["default/talk"]
    assert "Sunny" in run("show", "talk", place=bucket).stdout
    assert len(facts("points", "talk", place=bucket)) == 5
    assert facts("fork", "talk", "copy", place=bucket)["head"] == 8
    run("verify", "--all", place=bucket)
    run("delete", "copy", "-y", place=bucket)
    assert [one["state"] for one in facts("list", "--all", place=bucket)] == ["deleted", "free"]


@pytest.mark.slow
def test_a_prefix_is_taken_with_and_without_slashes(keep, run, said, bucket, in_bucket):
    keep("default/talk", [said("hello")], within=in_bucket("team/voice/"))

    for prefix in ("team/voice", "/team/voice/"):
        assert "hello" in run("show", "talk", place=[*bucket, "--prefix", prefix]).stdout
    run("show", "talk", place=bucket, code=1)


@pytest.mark.slow
def test_the_place_is_taken_from_the_environment_too(keep, facts, said, stage, in_bucket, directory):
    keep("default/talk", [said("hello")], within=in_bucket("p/"))
    keep("alice/local", [said("hello")])
    cloud = {
        "SEGUE_BUCKET": stage.bucket,
        "SEGUE_LOCK_TABLE": stage.lock_table,
        "SEGUE_PREFIX": "p",
        "SEGUE_REGION": "us-east-1",
    }
    local = {"SEGUE_DIRECTORY": str(directory), "SEGUE_PRINCIPAL": "alice"}

    assert facts("show", "talk", place=[], env=cloud)["session"] == "default/talk"
    assert facts("show", "local", place=[], env=local)["session"] == "alice/local"
    # What is typed wins over the environment.
    assert facts("show", "alice/local", place=["--directory", str(directory)], env=cloud)["session"] == "alice/local"
    assert facts("show", "default/talk", place=["--bucket", stage.bucket], env={**cloud, **local})


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ([], "say where the sessions are"),
        (["--bucket", "b"], "say where the sessions are"),
        (["--bucket", "b", "--lock-table", "t", "--directory", "d"], "exclude each other"),
        (["--directory", "not-there"], "there is no directory 'not-there'"),
    ],
)
def test_an_incomplete_or_contradicting_place_is_wrong_usage(run, place, says):
    assert says in run("list", place=place, code=2).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "--stream"],
        ["watch", "--count", "1"],
        ["show", "talk"],
        ["points", "talk"],
        ["tail", "talk"],
        ["fork", "talk", "copy"],
        ["export", "talk", "out"],
        ["release", "talk"],
        ["delete", "talk", "--yes"],
        ["verify", "talk"],
        ["verify", "--all"],
    ],
    ids=" ".join,
)
def test_a_directory_that_is_not_there_is_wrong_usage_and_stays_away(run, tmp_path, arguments):
    absent = tmp_path / "not-there"

    assert "there is no directory" in run(*arguments, place=["--directory", str(absent)], code=2).stderr
    assert not absent.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "a/b/c"],
        ["show", "../x"],
        ["show", ""],
        ["show", "x\ty"],
        ["show"],
        ["show", "talk", "--last", "0"],
        ["tail", "talk", "--interval", "0.01"],
        ["points", "talk", "--principal", "a/b"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_prints_nothing_on_the_standard_output(run, arguments):
    assert run(*arguments, code=2).stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["bucket", "table"])
def test_a_missing_bucket_or_table_is_one_line(keep, run, said, bucket, in_bucket, missing):
    keep("default/talk", [said("hello")], within=in_bucket())
    place = list(bucket)
    place[1 if missing == "bucket" else 3] = "elsewhere"

    result = run("show", "talk", place=place, code=1)

    assert result.stderr.startswith("error: elsewhere: ")
    assert len(result.stderr.splitlines()) == 1
    assert "fix the name, region or permissions" in result.stderr


@pytest.mark.slow
def test_a_missing_profile_is_one_line(run, bucket):
    result = run("list", place=[*bucket, "--profile", "ghost"], code=1)

    assert "ghost" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_endpoint_that_does_not_answer_is_one_line(run):
    place = ["--bucket", "b", "--lock-table", "t", "--region", "us-east-1", "--endpoint-url", "http://127.0.0.1:9"]

    result = run("list", place=place, code=1)

    assert "http://127.0.0.1:9" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_progress_is_shown_on_a_terminal_only(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, seen in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress("copying") as advance:
            advance(1, 2)
            advance(2, 2)
        with waiting("watching"):
            pass
        assert ("copying" in stream.getvalue()) is seen
        assert ("watching" in stream.getvalue()) is seen


def test_json_is_alone_on_the_standard_output(keep, run, said):
    keep("default/talk", [said("hello")])

    for command in (["list"], ["show", "talk"], ["points", "talk"], ["verify", "talk"], ["fork", "talk", "copy"]):
        result = run(*command, "--json")
        json.loads(result.stdout)
        assert result.stderr == ""


def test_the_script_is_what_the_package_names():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["segue"].partition(":")

    assert callable(getattr(import_module(module), name))


@pytest.mark.slow
def test_the_command_runs_as_a_module(keep, said, directory):
    keep("default/talk", [said("hello")])
    command = [sys.executable, "-m", "segue.cli", "sessions", "show", "talk", "--directory", str(directory)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.splitlines()[1] == "12:00:00  user       hello"
    assert done.stderr == ""


def test_command_without_its_extra_says_what_to_install():
    code = "import sys; sys.modules['click'] = None; from segue.cli import main; main()"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert done.stderr == "error: the command line needs click and rich: pip install click rich\n"
