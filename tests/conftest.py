"""Fixtures that tests share: AWS settings that are valid nowhere, moto, and the emulator, each with its own names."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.leftovers import MARK
from tests.support.mocked_aws import mocked_aws, sharing_clients
from tests.support.programs import Programs
from tests.support.stage import AWS_ENVIRONMENT, REGION, Stage, provisioned
from tests.support.waiting import PATIENCE_SECONDS

pytest_plugins = [f"tests.support.{name}" for name in ("limits", "scheduling", "service_models", "local_stack")]

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "18,20")  # each process would say it at its end


# By default an example fails that takes 0.2 s, which tells of a busy machine and not of a fault.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Iterator[None]:
    """Look for garbage once, when hundreds of modules are imported, and not all the time meanwhile."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Spare collections of garbage the modules: they stay until the process ends, and some tests collect a lot."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a test does may reach a real account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in AWS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def program() -> Iterator[Programs]:
    """Runs whole programs, each in an interpreter of its own."""
    programs = Programs()
    yield programs
    programs.end()


@pytest.fixture
def aws(aws_environment: None) -> Iterator[None]:
    """AWS in this process (moto), empty."""
    with mocked_aws():
        yield


@pytest.fixture
def stage(aws: None) -> Stage:
    """A bucket and a lock table in moto."""
    with sharing_clients():
        return provisioned(None)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The local AWS emulator as a process of its own, for as long as the tests run; its endpoint."""
    python = ROOT / ".emulator" / "bin" / "python"
    if not python.exists():
        pytest.fail("the emulator is not installed: run `make setup`")
    home = tmp_path_factory.mktemp("emulator")
    with (home / "emulator.log").open("wb") as log:
        process, endpoint = _started(python, home, log.fileno())
        try:
            yield endpoint
        finally:
            _ended(process)


@pytest.fixture
def emulated(emulator: str) -> Stage:
    """A bucket and a lock table in the emulator."""
    return provisioned(emulator)


def _started(python: Path, home: Path, log: int) -> tuple[subprocess.Popen[bytes], str]:
    for _ in range(3):  # another process may take the port between the look and the start
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen(
            [python, "-m", "ministack"], env=_emulator_environment(home, port), cwd=home, stdout=log, stderr=log
        )
        endpoint = f"http://127.0.0.1:{port}"
        if _answers(process, endpoint):
            return process, endpoint
        _ended(process)
    pytest.fail(f"the emulator does not start:\n{(home / 'emulator.log').read_text(errors='replace')[-2000:]}")


def _emulator_environment(home: Path, port: int) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        **AWS_ENVIRONMENT,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{home / 'no-docker.sock'}",
        MARK: os.environ.get(MARK, ""),
    }


def _answers(process: subprocess.Popen[bytes], endpoint: str, seconds: float = PATIENCE_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{endpoint}/_ministack/ready", timeout=1) as answer:
            if answer.status == 200:
                return True
        time.sleep(0.05)
    return False


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
