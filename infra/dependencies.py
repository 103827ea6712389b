"""Folders of third-party code that the functions' layers are made of.

    layers/dependencies/<name>/python/     what Lambda puts on the path: the packages of requirements/layer.txt
    layers/dependencies/<name>/stamp       what it was built from; the same stamp is not built again
    layers/dependencies/authorizer-<name>/ the same of requirements/authorizer.txt, for the authorizer alone
    layers/dependencies/turn-<name>/       the same of requirements/turn.txt, with Strands, for the text worker

The folders are git-ignored. Packages come as wheels for the function's system and with the hashes of the lock, so no
code of theirs runs while it is built.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.config import Config
from infra.constants import AUTHORIZER_LOCK, LAYER_LOCK, PYTHON_VERSION, ROOT, TURN_LOCK
from infra.targets import EMULATOR

FOLDER: Final = ROOT / "layers" / "dependencies"
SERVICES: Final = frozenset(
    {"apigatewaymanagementapi", "bedrock-agent-runtime", "bedrock-runtime", "dynamodb", "s3", "sqs", "sts"}
)
"""AWS services that the functions of the stack, and the tools of text agents, call. The descriptions of the others are
nine tenths of the layer's files, and every cold start unpacks them."""

RECIPE: Final = "4"
"""Raised when this module builds something else from the same lock."""
TIMEOUT_SECONDS: Final = 300


class LayerBuildError(RuntimeError):
    """Raised when the layer's packages cannot be installed: do what the message says and synthesize again."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """A built layer folder.

    Attributes:
        folder: Holds ``python/``.
        digest: The same for the same packages on every machine.
    """

    folder: Path
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdParty:
    """The built folders of all layers with third-party packages.

    Attributes:
        functions: What most functions need.
        authorizer: What the authorizer needs.
        turn: What the text worker needs; None: there is none.
    """

    functions: Dependencies
    authorizer: Dependencies
    turn: Dependencies | None


def build_all(config: Config) -> ThirdParty:
    """Make sure that all layers' folders are there and as their locks say.

    Raises:
        LayerBuildError: See ``build``.
    """
    return ThirdParty(
        functions=build(config),
        authorizer=build(config, AUTHORIZER_LOCK),
        turn=build(config, TURN_LOCK) if config.text else None,
    )


def build(config: Config, lock: Path = LAYER_LOCK, folder: Path = FOLDER) -> Dependencies:
    """Make sure that the layer's folder is there and as the lock says.

    Args:
        config: Names the system that the functions run on.
        lock: Requirements with hashes.
        folder: Where the layer folders are.

    Raises:
        LayerBuildError: uv is missing, failed, or took longer than 5 minutes.
    """
    name, choice = _system(config)
    if lock.stem != LAYER_LOCK.stem:
        name = f"{lock.stem}-{name}"
    parts = (RECIPE, name, sysconfig.get_platform() if name.endswith("host") else "", PYTHON_VERSION)
    digest = hashlib.sha256("\n".join(parts).encode() + b"\n" + lock.read_bytes()).hexdigest()
    target = folder / name
    stamp = target / "stamp"
    with _exclusive(folder):
        if not (stamp.is_file() and stamp.read_text(encoding="ascii").strip() == digest):
            # Built beside its place and moved there: an interrupted build is never taken for a finished one.
            with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as scratch:
                built = Path(scratch) / name
                _install(lock, built / "python", choice)
                (built / "stamp").write_text(digest + "\n", encoding="ascii")
                shutil.rmtree(target, ignore_errors=True)
                built.rename(target)
    return Dependencies(folder=target, digest=digest)


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Keep two syntheses from building at the same time; the second finds the first one's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _system(config: Config) -> tuple[str, list[str]]:
    """The folder's name, and uv's options that choose the system."""
    if config.target is EMULATOR:  # functions run on this machine's own interpreter
        return "host", []
    # Lambda's python3.13 runtime is Amazon Linux 2023, whose C library is newer than this baseline.
    machine = "aarch64" if config.architecture == "arm64" else "x86_64"
    name = f"{machine}-manylinux_2_28"
    return name, ["--python-platform", name]


def _install(lock: Path, target: Path, choice: list[str]) -> None:
    command = [
        *(_uv(), "pip", "install", "--quiet", "--target", str(target), "--requirements", str(lock)),
        *("--python", sys.executable, "--python-version", PYTHON_VERSION, *choice),
        *("--require-hashes", "--only-binary", ":all:", "--no-deps"),
    ]
    try:
        # The command is fixed but for paths of this checkout.
        install = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise LayerBuildError(
            f"uv did not finish within {TIMEOUT_SECONDS} s; is the package index reachable?"
        ) from error
    if install.returncode != 0:
        raise LayerBuildError(f"uv could not install {lock.name} for the Lambda layer:\n{install.stderr.strip()}")
    # Console scripts carry the path of the interpreter that installed them, and no function calls one.
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)
    _prune(target / "botocore" / "data")


def _prune(descriptions: Path) -> None:
    """Leave out the services that no function of the stack calls."""
    for service in descriptions.glob("*/"):
        if service.name not in SERVICES:
            shutil.rmtree(service)


def _uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise LayerBuildError("uv is needed to build the Lambda layer; run `make setup`, or `pip install uv`")
    return found
