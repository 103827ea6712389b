"""The AWS that is measured against: an emulator process of the run's own, on a free loopback port."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from local.deployment.empty_emulator import empty_emulator
from local.errors import LocalError
from local.processes.children import AWS_ENVIRONMENT, base_environment

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"


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
    environment = {**base_environment(), **AWS_ENVIRONMENT, "LOG_LEVEL": "WARNING"}
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="segue-benchmark-"))
        try:
            endpoint = stack.enter_context(empty_emulator(Path(home), environment))
        except LocalError as error:
            raise BenchmarkError(str(error)) from error
        yield endpoint
