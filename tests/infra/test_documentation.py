"""The documentation of the settings is current, and each command in the documentation synthesizes cleanly."""

from __future__ import annotations

import re
import shlex

import pytest

from infra.config import Config, settings_by_name
from infra.configuration_page import COMMAND, PAGE, page
from infra.constants import ROOT
from tests.infra.accepted import problems

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = re.compile(r"npx cdk (?:deploy|synth)\b(?:\\\n|[^\n`|])*")


DESTROYS = re.compile(r"npx cdk destroy [^\n`|#&]*")


def examples():
    """The settings of each ``npx cdk deploy -c …`` in the documentation, once each."""
    found = {}
    for path in PAGES:
        for command in COMMANDS.findall(path.read_text(encoding="utf-8")):
            words = shlex.split(command.replace("\\\n", " "), comments=True)
            settings = dict(words[at + 1].split("=", 1) for at, word in enumerate(words) if word == "-c")
            found.setdefault(tuple(sorted(settings.items())), f"{path.name}: {' '.join(settings) or 'default'}")
    return [pytest.param(dict(settings), id=name) for settings, name in found.items()]


def test_the_page_of_settings_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), f"settings changed: run `{COMMAND}`"
    assert all(f"| `{name}` |" in page() for name in settings_by_name())
    assert len(settings_by_name()) == len(Config.model_fields)


def test_the_documentation_shows_each_kind_of_deployment():
    shown = {name for example in examples() for name in example.values[0]}

    assert {"stage", "network", "vpc_id", "auth", "domain_name", "provider", "workers", "worker_image"} <= shown


def test_taking_a_stack_away_takes_none_that_comes_after_it():
    """``cdk destroy`` takes the stacks that depend on the named one as well, unless it is told not to."""
    shown = [command for path in PAGES for command in DESTROYS.findall(path.read_text(encoding="utf-8"))]
    followed = [command for command in shown if re.search(r"-(?:Data|Web)\b", command)]

    assert followed
    assert [command for command in followed if "--exclusively" not in command] == []


@pytest.mark.slow
@pytest.mark.parametrize("settings", examples())
def test_an_example_synthesizes_and_cloudformation_accepts_it(synthesized, settings):
    stage = synthesized(**settings)

    for template in stage.data.folder.glob("*.template.json"):
        assert not problems(template)
