"""An AWS emulator that begins empty and keeps its state in memory, for benchmarks and tests."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from local.errors import LocalError
from local.processes.ports import ReservedPort
from local.settings import LOOPBACK, REGION, ROOT

_PYTHON: Final = ROOT / ".emulator" / "bin" / "python"
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.05
_ATTEMPTS: Final = 3
"""Starts before it is given up: where no port can be reserved, another process may take it."""


def emulator_environment(port: int, scratch: Path) -> dict[str, str]:
    """Return the variables that every emulator needs.

    Args:
        port: TCP port to listen on.
        scratch: Where temporary files go.
    """
    return {
        "TMPDIR": str(scratch),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": LOOPBACK,  # its own default is every interface
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # It removes containers it takes for its own from any Docker daemon it finds; here it has none to find.
        "DOCKER_HOST": f"unix://{scratch / 'no-docker.sock'}",
    }


@contextlib.contextmanager
def empty_emulator(home: Path, environment: Mapping[str, str], start_seconds: float = _START_SECONDS) -> Iterator[str]:
    """Run an emulator for as long as the block lasts; yields its endpoint.

    Args:
        home: An empty folder, for its log and temporary files.
        environment: What its process gets besides ``emulator_environment``.
        start_seconds: Seconds for it to answer; after them it is started once more, three times in all.

    Raises:
        LocalError: It is not installed or does not start.
    """
    if not _PYTHON.exists():
        raise LocalError("the emulator is not installed: run `make setup`.")
    log = home / "emulator.log"
    for _ in range(_ATTEMPTS):
        with ReservedPort() as port:
            variables = {**environment, "HOME": str(home), **emulator_environment(port.number, home)}
            with log.open("ab") as output:
                command = [str(_PYTHON), "-m", "ministack"]
                process = subprocess.Popen(command, env=variables, cwd=home, stdout=output, stderr=output)  # noqa: S603 - ours
            try:
                if _answers(process, endpoint := f"http://{LOOPBACK}:{port.number}", start_seconds):
                    yield endpoint
                    return
            finally:
                _end(process)
    raise LocalError(f"the emulator does not start:\n{log.read_text(errors='replace')[-2000:]}")


def _answers(process: subprocess.Popen[bytes], endpoint: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        url = f"{endpoint}/_ministack/ready"
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(url, timeout=1) as answer,  # noqa: S310 - our own URL
        ):
            if answer.status == 200:
                return True
        time.sleep(_POLL_SECONDS)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
