"""Fixtures that tests share: AWS settings that are valid nowhere, moto, and the emulator, each with its own names."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from local.deployment.empty_emulator import empty_emulator
from tests.support.leftovers import MARK
from tests.support.mocked_aws import mocked_aws, sharing_clients
from tests.support.programs import Programs
from tests.support.stage import AWS_ENVIRONMENT, Stage, provisioned
from tests.support.waiting import PATIENCE_SECONDS

pytest_plugins = [f"tests.support.{name}" for name in ("limits", "scheduling", "service_models", "local_stack")]

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
    environment = {"PATH": os.environ.get("PATH", os.defpath), **AWS_ENVIRONMENT, MARK: os.environ.get(MARK, "")}
    with empty_emulator(tmp_path_factory.mktemp("emulator"), environment, PATIENCE_SECONDS) as endpoint:
        yield endpoint


@pytest.fixture
def emulated(emulator: str) -> Stage:
    """A bucket and a lock table in the emulator."""
    return provisioned(emulator)
