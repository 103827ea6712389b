"""A template as a page that a reviewer can read: its resources, a line each, then permissions and alarms in full."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from tests.infra.references import simplified

INTRINSIC = frozenset({"Ref", "Fn::GetAtt", "Fn::GetStackOutput", "Fn::Sub"})
"""Template functions that ``simplified`` reads."""

type Resource = dict[str, Any]

SHOWN = re.compile(r"[\w:./@<>$ {}*+()=,-]{1,90}")
"""Values that fit into a line; longer ones, descriptions and documents have tests of their own."""

NOISE = frozenset(
    {"Description", "AlarmDescription", "DashboardBody", "PolicyName", "TemplateURL", "Content", "QueryString"}
)
"""Properties that say nothing to a reviewer here, or say it at length."""

HASH = re.compile(r"(?:[0-9a-f]{64}|[0-9a-f]{32})(?![0-9a-f])")
DIGITS = re.compile(r"(?:[0-9A-F]{8})+(?=$|>|Arn|Ref)")
"""Digits that CDK adds to logical ids to tell them apart."""

MACHINE = re.compile(r"\b(?:x86_64|arm64)\b", re.IGNORECASE)
STATEMENT_PARTS = ("Principal", "Condition")


def inventory(resources: dict[str, Resource]) -> str:
    """Return the page of a template's resources."""
    lines = ["## Resources", *sorted(_line(name, one) for name, one in resources.items())]
    lines += ["", "## Permissions", *_permissions(resources)]
    lines += ["", "## Alarms", *_alarms(resources)]
    return "\n".join(lines) + "\n"


def _line(name: str, resource: Resource) -> str:
    kind = resource["Type"].removeprefix("AWS::")
    if kind.endswith("Alarm"):
        return f"{kind} {_named(name)}"
    kept = {f"{key}={resource[key]}" for key in ("DeletionPolicy", "UpdateReplacePolicy") if key in resource}
    return " ".join([f"{kind} {_named(name)}", *sorted(kept | set(_scalars(resource.get("Properties", {}))))])


def _scalars(properties: dict[str, Any]) -> Iterator[str]:
    """A resource's own values; nested ones only as far as they are single values or names."""
    for key, value in properties.items():
        if key in NOISE:
            continue
        if isinstance(value, str | int | float | bool) or (isinstance(value, dict) and len(value) == 1):
            text = _masked(text_of(value))
            if SHOWN.fullmatch(text):
                yield f"{key}={text}"
        elif key == "Environment":
            yield f"Environment={','.join(sorted(value['Variables']))}"


def _permissions(resources: dict[str, Resource]) -> Iterator[str]:
    for name, resource in sorted(resources.items(), key=lambda each: _named(each[0])):
        for document in _documents(resource):
            yield f"{resource['Type'].removeprefix('AWS::')} {_named(name)}"
            yield from (f"    {line}" for line in sorted(map(_statement, document["Statement"])))


def _documents(resource: Resource) -> Iterator[dict[str, Any]]:
    properties = resource.get("Properties", {})
    for key in ("AssumeRolePolicyDocument", "PolicyDocument", "KeyPolicy"):
        if isinstance(properties.get(key), dict):
            yield properties[key]
    if resource["Type"] == "AWS::IAM::Role":
        yield from (inline["PolicyDocument"] for inline in properties.get("Policies", ()))


def _statement(statement: dict[str, Any]) -> str:
    actions = ", ".join(sorted(_listed(statement.get("Action", statement.get("NotAction")))))
    resources = ", ".join(sorted(_masked(text_of(one)) for one in _listed(statement.get("Resource", []))))
    further = [f"{part} {_masked(text_of(statement[part]))}" for part in STATEMENT_PARTS if part in statement]
    return " ".join(filter(None, [statement["Effect"], actions, f"on {resources}" if resources else "", *further]))


def _alarms(resources: dict[str, Resource]) -> Iterator[str]:
    for name, resource in sorted(resources.items()):
        if resource["Type"].endswith("Alarm"):
            yield _named(name)
            for key, value in sorted(resource["Properties"].items()):
                yield f"    {key}: {_masked(text_of(value))}"


def text_of(value: Any) -> str:
    """Return a property in one line: references as logical ids, everything else as it is."""
    match value:
        case {"Fn::Join": [separator, list() as parts]}:
            return str(separator).join(map(text_of, parts))
        case dict() if len(value) == 1 and INTRINSIC & set(value):
            return _plain(simplified(value))
        case dict():
            return "{" + ", ".join(f"{key}: {text_of(one)}" for key, one in sorted(value.items())) + "}"
        case list():
            return "[" + ", ".join(map(text_of, value)) + "]"
        case _:
            return str(value)


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def _named(logical_id: str) -> str:
    return MACHINE.sub("<machine>", _plain(logical_id))


def _plain(logical_id: str) -> str:
    """Mask the hash of a version, and take off the eight digits that CDK adds: the end of a hash may look like them."""
    return DIGITS.sub("", HASH.sub("<hash>", logical_id))


def _masked(text: str) -> str:
    return MACHINE.sub("<machine>", HASH.sub("<hash>", text))
