"""The emulator unpacks what functions consist of once, and their bytecode stays."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from local.deployment import unpacked
from local.deployment.emulator import PROGRAM
from local.deployment.unpacked import UNUSED_SECONDS, Unpacked
from local.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "unpacked"


@pytest.fixture
def later(folder: Path) -> Unpacked:
    """The archives for another emulator, when none of them has been used for a while."""
    return Unpacked(folder, lambda: folder.stat().st_mtime + 2 * UNUSED_SECONDS)


def archive(path: Path, name: str, text: str) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"package/{name}", text)
    return path


def linked(kept: Unpacked, source: Path, target: Path) -> Path:
    target.mkdir()
    kept.link(source, target)
    return target


def test_each_archive_is_unpacked_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, source = Unpacked(folder), archive(tmp_path / "a.zip", "a.py", "1")
    first = linked(kept, source, tmp_path / "first")
    monkeypatch.delattr(zipfile.ZipFile, "extractall")
    for other in (kept, Unpacked(folder)):
        second = linked(other, source, tmp_path / f"second-{id(other)}")
        assert (second / "package" / "a.py").samefile(first / "package" / "a.py")


def test_another_content_has_another_folder(folder: Path, tmp_path: Path) -> None:
    kept = Unpacked(folder)
    for text in ("1", "2"):
        found = linked(kept, archive(tmp_path / "a.zip", "a.py", text), tmp_path / text)
        assert (found / "package" / "a.py").read_text() == text


def test_one_whose_unpacking_was_interrupted_is_unpacked_anew(folder: Path, tmp_path: Path) -> None:
    source = archive(tmp_path / "a.zip", "a.py", "1")
    linked(Unpacked(folder), source, tmp_path / "before")
    (whole,) = (path for path in folder.iterdir() if path.is_dir())
    whole.rename(whole.with_suffix(".part"))
    (whole.with_suffix(".part") / "package" / "a.py").unlink()
    assert (linked(Unpacked(folder), source, tmp_path / "after") / "package" / "a.py").read_text() == "1"


def test_one_that_is_no_archive_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("none")
    with pytest.raises(zipfile.BadZipFile):
        linked(Unpacked(folder), tmp_path / "a.zip", tmp_path / "target")
    assert not any(path.is_dir() for path in folder.iterdir())


def test_of_those_that_no_emulator_uses_the_last_ones_are_kept(
    folder: Path, later: Unpacked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacked, "KEPT", 1)
    in_use, ended = Unpacked(folder), Unpacked(folder)
    used = linked(in_use, archive(tmp_path / "used.zip", "a.py", "used"), tmp_path / "used")
    unused = linked(ended, archive(tmp_path / "unused.zip", "a.py", "unused"), tmp_path / "unused")
    for lock in ended._locks.values():
        lock.close()  # as its process's end does
    linked(later, archive(tmp_path / "new.zip", "a.py", "new"), tmp_path / "new")
    assert (used / "package" / "a.py").read_text() == "used"
    assert not (unused / "package").exists()
    assert len(list(folder.glob("*.lock"))) == 2


PROBE = """
import importlib.util, json, pathlib, sys
from ministack.core import lambda_runtime

spec = importlib.util.spec_from_file_location("program", sys.argv[1])
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
program.unpack_once(pathlib.Path(sys.argv[2]))
config = {
    "FunctionName": "f", "Handler": "package.a.handler", "Runtime": "python3.13",
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
}
for _ in range(2):
    worker = lambda_runtime.Worker("f", config, pathlib.Path(sys.argv[3]).read_bytes())
    print(json.dumps(worker.invoke({}, "1")["result"]))
    worker.kill()
"""

HANDLER = """
def handler(event, context):
    return [__file__, __cached__]
"""


@pytest.mark.slow
def test_a_functions_second_process_finds_the_bytecode_of_the_first(folder: Path, tmp_path: Path) -> None:
    if not (emulator := Settings().emulator_python).exists():
        pytest.skip("the emulator is not installed")
    source = archive(tmp_path / "f.zip", "a.py", HANDLER)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    command = [str(emulator), "-P", "-c", PROBE, PROGRAM[-1], str(folder), str(source)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, env=environment)
    (first, bytecode), (second, same) = map(json.loads, ran.stdout.splitlines())
    assert first != second, "each process has a folder of its own"
    assert Path(bytecode).name == Path(same).name
    (kept,) = folder.glob("*/package/__pycache__/a.*.pyc")
    assert kept.name == Path(same).name
    assert kept.parent.parent.parent.parent == folder
