"""The folders that are shipped, staged by CDK as at a deployment, and an interpreter that sees nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import App, AssetStaging, IgnoreMode, Stack

from infra.config import from_context
from infra.constants import AUTHORIZER_LOCK, FUNCTIONS, ROOT, SESSION_LAYER, TURN_LOCK
from infra.constructs.functions import function_excludes
from infra.constructs.layers import DEPENDENCIES_EXCLUDES, SESSION_EXCLUDES
from infra.constructs.workers import context_excludes
from infra.dependencies import build


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Copy a folder as CDK does before it is zipped or built from."""
    stack = Stack(App(outdir=str(tmp_path_factory.mktemp("staged"))))

    def staged(name: str, source: Path, exclude: list[str], mode: IgnoreMode = IgnoreMode.GIT) -> Path:
        staging = AssetStaging(stack, name, source_path=str(source), exclude=exclude, ignore_mode=mode)
        return Path(staging.absolute_staged_path)

    return staged


@pytest.fixture(scope="session")
def session_layer(stage: Callable[..., Path]) -> Path:
    return stage("Session", SESSION_LAYER, SESSION_EXCLUDES)


@pytest.fixture(scope="session")
def gateway(stage: Callable[..., Path]) -> Path:
    return stage("Gateway", FUNCTIONS, function_excludes("gateway"))


@pytest.fixture(scope="session")
def janitor(stage: Callable[..., Path]) -> Path:
    return stage("Janitor", FUNCTIONS, function_excludes("janitor"))


@pytest.fixture(scope="session")
def turn(stage: Callable[..., Path]) -> Path:
    return stage("Turn", FUNCTIONS, function_excludes("turn", "worker"))


@pytest.fixture(scope="session")
def turn_dependencies(stage: Callable[..., Path]) -> Path:
    """The text function's third-party layer for this machine."""
    return stage("TurnDependencies", build(from_context({"stage": "local"}), TURN_LOCK).folder, DEPENDENCIES_EXCLUDES)


@pytest.fixture(scope="session")
def image_context(stage: Callable[..., Path]) -> Path:
    return stage("Image", ROOT, context_excludes(), IgnoreMode.DOCKER)


@pytest.fixture(scope="session")
def dependencies(stage: Callable[..., Path]) -> Path:
    """The third-party layer for this machine, built from the lock unless it is there already."""
    return stage("Dependencies", build(from_context({"stage": "local"})).folder, DEPENDENCIES_EXCLUDES)


@pytest.fixture(scope="session")
def authorizer_layer(stage: Callable[..., Path]) -> Path:
    """The authorizer's own, likewise."""
    return stage("Authorizer", build(from_context({"stage": "local"}), AUTHORIZER_LOCK).folder, DEPENDENCIES_EXCLUDES)


@pytest.fixture
def bare(tmp_path: Path) -> Callable[..., str]:
    """Run Python code with the standard library and the given folders on its path, and nothing else."""

    def run(code: str, *folders: Path, **variables: str) -> str:
        command = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path[:0] = {[str(f) for f in folders]!r}\n{code}",
        ]
        environment = {"PATH": os.environ["PATH"], **variables}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
