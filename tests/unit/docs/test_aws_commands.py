"""Commands of AWS's command line on the pages: the service, the operation and the options exist, none is left out.

A command with "…" says that options are left out; its own are checked all the same.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

import botocore.session
import pytest
from botocore import xform_name
from botocore.model import OperationModel

from infra.constants import ROOT

PAGES = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("docs/runbooks/*.md"), ROOT / "README.md"])
COMMAND = re.compile(r"(?<![\w/.-])aws (?=[a-z0-9-]+ [a-z0-9-]+)")
GLOBAL = {"--query", "--output", "--region", "--profile"}
BY_HAND = {"s3", "configure", "sso", "login"}
"""Subcommands that the command line has beside the services' operations."""


class Command(NamedTuple):
    page: str
    text: str


def commands() -> Iterator[Command]:
    for path in PAGES:
        text = re.sub(r"\\\n\s*", "", path.read_text(encoding="utf-8"))
        for line in text.splitlines():
            for found in COMMAND.finditer(line):
                end = re.search(r"`|\)(?=\s|$)|\s#\s|;\s|$", line[found.start() :])
                assert end
                yield Command(path.name, line[found.start() : found.start() + end.start()].rstrip(" ).,"))


def options_of(text: str) -> list[str]:
    # Places such as <stage> and "$(…)" are values; an apostrophe that is not closed ends the command's text.
    words = shlex.split(text, posix=True)
    return [word.partition("=")[0] for word in words if word.startswith("--")]


def known(operation: OperationModel) -> dict[str, bool]:
    """The options of an operation, and whether each is needed."""
    if operation.input_shape is None:
        return {}
    needed = set(operation.input_shape.required_members)
    options: dict[str, bool] = {}
    for name, shape in operation.input_shape.members.items():
        option = f"--{xform_name(name, '-')}"
        options[option] = name in needed
        if shape.type_name == "boolean":
            options[f"--no-{xform_name(name, '-')}"] = False
    return options


def wrong(command: Command) -> str | None:
    """Reason for which AWS's command line would not take a command; None: it takes it."""
    service, name = command.text.split()[1:3]
    if service in BY_HAND or name == "wait":
        return None
    session = botocore.session.get_session()
    service = {"s3api": "s3"}.get(service, service)
    if service not in session.get_available_services():
        return f"no service {service}"
    model = session.get_service_model(service)
    names = {xform_name(each, "-"): each for each in model.operation_names}
    if name not in names:
        return f"no operation {name}"
    return _wrong_options(known(model.operation_model(names[name])), command.text)


def _wrong_options(options: dict[str, bool], text: str) -> str | None:
    given = options_of(text)
    for option in given:
        if option not in options and option not in GLOBAL:
            return f"no option {option}"
    given += [f"--{option.removeprefix('--no-')}" for option in given if option.startswith("--no-")]
    missing = [option for option, needed in options.items() if needed and option not in given]
    if missing and "…" not in text:
        return f"without {', '.join(missing)}"
    return None


def test_commands_are_found() -> None:
    assert len({command.text for command in commands()}) > 30


@pytest.mark.slow
def test_the_command_line_takes_each_command() -> None:
    found = {f"{each.page}: {each.text}: {text}" for each in commands() if (text := wrong(each))}

    assert not found, "\n".join(sorted(found))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("aws ecs stop-task", "without --task"),
        ("aws ecs stop-task --task T --now", "no option --now"),
        ("aws ecs halt-task --task T", "no operation halt-task"),
        ("aws containers stop-task", "no service containers"),
        ("aws ecs stop-task …", None),
        ("aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name S", None),
    ],
)
def test_a_wrong_command_is_noticed(text: str, fault: str | None) -> None:
    assert wrong(Command("page", text)) == fault
