"""The builder of the third-party layer, with a stand-in for uv."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from infra import dependencies
from infra.config import from_context
from infra.constants import AUTHORIZER_LOCK
from infra.dependencies import LayerBuildError, build

LOCAL = from_context({"stage": "local"})
LOCK = "msgspec==0.22.0 --hash=sha256:00\n"

RECORDER = """#!{python}
import pathlib, sys
log = pathlib.Path({log!r})
log.write_text((log.read_text() if log.exists() else "") + " ".join(sys.argv[1:]) + "\\n")
target = pathlib.Path(sys.argv[sys.argv.index("--target") + 1])
(target / "bin").mkdir(parents=True)
(target / "bin" / "tool").touch()
(target / ".lock").touch()
(target / "package.py").touch()
for service in ("dynamodb", "ec2"):
    (target / "botocore" / "data" / service).mkdir(parents=True)
(target / "botocore" / "data" / "endpoints.json").touch()
"""


class Uv:
    """A program that stands in for uv and writes down how it was called."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "calls"
        self.program = folder / "uv"
        self.write(RECORDER.format(python=sys.executable, log=str(self.log)))

    def write(self, text: str) -> None:
        self.program.write_text(text, encoding="utf-8")
        self.program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []


@pytest.fixture
def uv(tmp_path, monkeypatch) -> Uv:
    stand_in = Uv(tmp_path)
    monkeypatch.setattr(dependencies, "_uv", lambda: str(stand_in.program))
    return stand_in


@pytest.fixture
def lock(tmp_path) -> Path:
    path = tmp_path / "layer.txt"
    path.write_text(LOCK, encoding="utf-8")
    return path


def test_the_layer_is_built_once_for_a_lock(uv, lock, tmp_path):
    first = build(LOCAL, lock, tmp_path / "layers")
    second = build(LOCAL, lock, tmp_path / "layers")

    assert first == second
    assert len(uv.calls) == 1
    assert {each.name for each in (first.folder / "python").iterdir()} == {"botocore", "package.py"}


def test_services_that_no_function_calls_are_left_out(uv, lock, tmp_path):
    data = build(LOCAL, lock, tmp_path / "layers").folder / "python" / "botocore" / "data"
    assert sorted(path.name for path in data.iterdir()) == ["dynamodb", "endpoints.json"]


def test_every_service_that_a_function_calls_is_there():
    called = {
        service
        for path in (dependencies.ROOT / "functions").glob("*/*.py")
        if path.parent.name != "worker"
        for service in re.findall(r'boto3\.client\("([a-z0-9]+)"', path.read_text(encoding="utf-8"))
    }
    assert called
    assert called <= dependencies.SERVICES


def test_the_authorizer_has_a_folder_of_its_own(uv, tmp_path):
    built = build(from_context({}), AUTHORIZER_LOCK, tmp_path / "layers")

    assert built.folder == tmp_path / "layers" / "authorizer-aarch64-manylinux_2_28"
    assert "requirements/authorizer.txt" in uv.calls[0]


def test_a_changed_lock_builds_it_again(uv, lock, tmp_path):
    first = build(LOCAL, lock, tmp_path / "layers")
    (first.folder / "python" / "old.py").touch()
    lock.write_text(LOCK + "# changed\n", encoding="utf-8")
    second = build(LOCAL, lock, tmp_path / "layers")

    assert len(uv.calls) == 2
    assert second.digest != first.digest
    assert not (second.folder / "python" / "old.py").exists()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"architecture": "arm64"}, "aarch64-manylinux_2_28"),
        ({"architecture": "x86_64"}, "x86_64-manylinux_2_28"),
        ({"stage": "local"}, "host"),
    ],
)
def test_the_layer_is_built_for_the_functions_system(uv, lock, tmp_path, settings, name):
    built = build(from_context(settings), lock, tmp_path / "layers")

    (call,) = uv.calls
    assert built.folder.name == name
    assert ("--python-platform" in call) == (name != "host")
    for option in ("--require-hashes", "--only-binary :all:", "--python-version 3.13", f"--requirements {lock}"):
        assert option in call


def test_a_failed_build_says_why_and_leaves_nothing_behind(uv, lock, tmp_path):
    uv.write("#!/bin/sh\necho 'hash mismatch for msgspec' >&2\nexit 1\n")

    with pytest.raises(LayerBuildError, match=r"(?s)could not install layer.txt.*hash mismatch for msgspec"):
        build(LOCAL, lock, tmp_path / "layers")
    assert [each.name for each in (tmp_path / "layers").iterdir()] == [".lock"]


def test_an_interrupted_build_is_not_taken_for_a_finished_one(uv, lock, tmp_path):
    (tmp_path / "layers" / "host" / "python").mkdir(parents=True)

    built = build(LOCAL, lock, tmp_path / "layers")

    assert len(uv.calls) == 1
    assert (built.folder / "stamp").read_text(encoding="ascii").strip() == built.digest


def test_a_missing_uv_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LayerBuildError, match="uv is needed to build the Lambda layer; run `make setup`"):
        dependencies._uv()
