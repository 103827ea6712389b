"""Both stages, synthesized once: ``dev`` as it goes to AWS and ``local`` as it goes to the emulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template

from infra.app import compose
from infra.config import Config, from_context
from infra.constants import ROOT
from infra.constructs.web.built import built_page
from infra.dependencies import Dependencies, ThirdParty
from infra.stacks.data import DataStack
from infra.stacks.service import ServiceStack
from infra.stacks.web import WebStack
from tests.infra.transports import ALONE, BOTH

HERE = Path(__file__).parent

SYNTHESIS_SECONDS = 600.0
"""Limit of each test here: the CDK synthesizes in a process of its own, of whose turns the steady clock knows nothing.
Beyond it, all later tests of the process fail: an interrupted call leaves the CDK's answers one behind."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SYNTHESIS_SECONDS))


@dataclass(frozen=True)
class Stack:
    """A synthesized template, with the few questions that the tests ask it."""

    template: Template
    content: dict[str, Any]
    folder: Path

    @property
    def resources(self) -> dict[str, Any]:
        return self.content["Resources"]

    def of_type(self, kind: str) -> dict[str, Any]:
        return {name: each["Properties"] for name, each in self.resources.items() if each["Type"] == kind}

    def named(self, kind: str, part: str) -> dict[str, Any]:
        found = {name: each for name, each in self.of_type(kind).items() if part in name}
        assert len(found) == 1, f"{kind} with {part!r} in its name: {sorted(found)}"
        return next(iter(found.values()))

    @property
    def outputs(self) -> set[str]:
        return {name for name in self.content["Outputs"] if not name.startswith("PublishOutput")}


@dataclass(frozen=True)
class Stage:
    config: Config
    data: Stack
    service: Stack
    web: Stack | None

    @property
    def stacks(self) -> list[Stack]:
        return [each for each in (self.data, self.web, self.service) if each]


def composed(
    folder: Path, *, validated: bool = True, **settings: Any
) -> tuple[App, Config, tuple[DataStack, WebStack | None, ServiceStack]]:
    """The app as ``npx cdk synth -c ...`` composes it, but for an empty third-party layer and a page of three lines.

    Args:
        folder: Where it is synthesized.
        validated: Whether the CDK validates the templates, for which it compiles its rules once in a process (10 s).
        settings: The deployment.
    """
    (folder / "layer" / "python").mkdir(parents=True)
    (folder / "layer" / "python" / "placeholder.py").touch()
    (folder / "page" / "assets").mkdir(parents=True)
    (folder / "page" / "index.html").write_text('<!doctype html>\n<title>Page</title>\n<script src="/assets/a.js">')
    (folder / "page" / "assets" / "a.js").touch()
    functions, authorizer, turn = (Dependencies(folder=folder / "layer", digest=64 * digit) for digit in "012")
    flags = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    context = {**flags, **settings}
    app = App(context=context, outdir=str(folder / "out"), builtin_cloud_formation_validation=validated)
    config = from_context(app.node.get_all_context(), region="us-east-1")
    packages = ThirdParty(functions=functions, authorizer=authorizer, turn=turn)
    return app, config, compose(app, config, packages, built_page(config, folder / "page"))


def synthesize(folder: Path, **settings: Any) -> Stage:
    """Synthesize a stage."""
    _, config, stacks = composed(folder, **settings)
    data, web, service = (each and _stack(Template.from_stack(each), folder / "out") for each in stacks)
    assert data
    assert service
    return Stage(config, data, service, web)


def _stack(template: Template, folder: Path) -> Stack:
    return Stack(template, dict(template.to_json()), folder)


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Stage]:
    """Synthesizes a stage with the given settings, once in each process."""
    made: dict[str, Stage] = {}

    def stage(**settings: Any) -> Stage:
        key = json.dumps(settings, sort_keys=True)
        if key not in made:
            made[key] = synthesize(tmp_path_factory.mktemp("stage"), **settings)
        return made[key]

    return stage


@pytest.fixture
def synthesized_anew(tmp_path: Path) -> Stage:
    """The default stage, synthesized for one test alone."""
    return synthesize(tmp_path)


@pytest.fixture(scope="session")
def compose_app() -> Callable[..., App]:
    """Composes a stage with the given settings in a folder; it is not synthesized yet."""
    return lambda folder, **settings: composed(folder, **settings)[0]


@pytest.fixture
def app(tmp_path: Path) -> App:
    """The default stage, not synthesized yet."""
    return composed(tmp_path)[0]


@pytest.fixture(scope="session")
def dev(synthesized: Callable[..., Stage]) -> Stage:
    return synthesized()


@pytest.fixture(scope="session")
def local(synthesized: Callable[..., Stage]) -> Stage:
    return synthesized(stage="local")


@pytest.fixture(scope="session")
def alone(synthesized: Callable[..., Stage]) -> Stage:
    return synthesized(**ALONE)


@pytest.fixture(scope="session")
def both(synthesized: Callable[..., Stage]) -> Stage:
    return synthesized(**BOTH)


@pytest.fixture(params=["dev", "local"], scope="session")
def stage(request: pytest.FixtureRequest) -> Stage:
    return request.getfixturevalue(request.param)
