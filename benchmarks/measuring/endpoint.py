"""The AWS that is measured against: an emulator process of the run's own, on a free loopback port."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from local.processes.children import AWS_ENVIRONMENT, base_environment
from local.processes.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"

_EMULATOR = ROOT / ".emulator" / "bin" / "python"
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_ATTEMPTS = 3
"""Another process may take the free port between the look and the start."""


class BenchmarkError(Exception):
    """Raised when the run cannot go on; the text says what to do."""


def client_environment(endpoint: str) -> dict[str, str]:
    """Return the whole environment of a measured process: nothing in it reaches a real account."""
    return {
        **base_environment(),
        **AWS_ENVIRONMENT,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
    }


@contextlib.contextmanager
def emulator() -> Iterator[str]:
    """Run the emulator, empty, with its state in memory; yields its endpoint.

    Raises:
        BenchmarkError: It is not installed or does not start.
    """
    if not _EMULATOR.exists():
        raise BenchmarkError("the emulator is not installed: run `make setup`")
    with tempfile.TemporaryDirectory(prefix="segue-benchmark-") as home:
        log = Path(home, "emulator.log")
        for _ in range(_ATTEMPTS):
            port = free_port()
            with log.open("ab") as output:
                process = subprocess.Popen(
                    [_EMULATOR, "-m", "ministack"], env=_environment(home, port), cwd=home, stdout=output, stderr=output
                )
            try:
                if _answers(process, endpoint := f"http://127.0.0.1:{port}"):
                    yield endpoint
                    return
            finally:
                _end(process)
        raise BenchmarkError(f"the emulator does not start:\n{log.read_text(errors='replace')[-2000:]}")


def _environment(home: str, port: int) -> dict[str, str]:
    return {
        **base_environment(),
        **AWS_ENVIRONMENT,
        "HOME": home,
        "TMPDIR": home,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",  # its own default is every interface
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "DOCKER_HOST": f"unix://{home}/no-docker.sock",  # it removes what it takes for its own from a daemon it finds
    }


def _answers(process: subprocess.Popen[bytes], endpoint: str) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{endpoint}/_ministack/ready", timeout=1) as answer:
            if answer.status == 200:
                return True
        time.sleep(0.05)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
