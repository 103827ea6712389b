"""CloudFormation's own opinion of a template, by cfn-lint; asked once for each content.

Templates of one app differ in few resources, and nine tenths of cfn-lint's work is to look into each of them. A
resource of a template without problems is not looked into again while it and what it refers to are the same.
The rules about a template as a whole see all of them each time.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

IGNORED = {
    "W3005": "CDK writes dependencies that a reference implies already",
    "W3037": "bedrock:InvokeModelWithBidirectionalStream is not in the published list of actions",
}


LOOKED_AT_WITH_THOSE_THAT_NAME_IT = re.compile(r'"AWS::(ApiGateway::RestApi|EC2::VPC)"|"SnapStart"')
"""Resources for which rules of cfn-lint follow references backwards, too."""

ASSET = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
"""Name of a file or an image, made of its content: with another one a resource is as right as before."""

_found: dict[str, tuple[str, ...]] = {}
_kinds: dict[object, Any] = {}
_left_out: set[str] = set()
"""Names of the resources that cfn-lint does not look into at present."""
_right: set[str] = set()
"""Contents of the resources of templates without problems, as ``contents`` has them."""


def problems(template: Path) -> tuple[str, ...]:
    """List what is wrong with a template."""
    text = ASSET.sub("0" * 64, template.read_text(encoding="utf-8"))
    if text not in _found:
        known = contents(json.loads(text))
        _left_out.update(name for name, content in known.items() if content in _right)
        try:
            found = _lint(template)
        finally:
            _left_out.clear()
        _found[text] = tuple(f"{each.rule.id} {each.message} {getattr(each, 'path', '')}" for each in found)
        if not found:
            _right.update(known.values())
    return _found[text]


def _lint(template: Path) -> list[Any]:
    from cfnlint.config import ConfigMixIn  # two seconds that only the processes pay that ask it
    from cfnlint.runner.template import run_template_by_file_paths

    config = ConfigMixIn(["--template", str(template)], ignore_checks=list(IGNORED))
    with _without_repetition():
        return list(run_template_by_file_paths(config, _rules()))


def contents(template: Mapping[str, Any]) -> dict[str, str]:
    """Return, for each resource, everything in a template that may decide whether it is right.

    That is the resource itself, what it names, and what these name, and so on, conditions too; and all that is neither.
    A word that happens to be another resource's name counts as one. Notes of the CDK's command line on constructs and
    assets decide nothing.
    """
    conditions = {f"Conditions.{name}": one for name, one in template.get("Conditions", {}).items()}
    described = {name: _without_notes(one) for name, one in template["Resources"].items()}
    texts = {name: json.dumps(one, sort_keys=True) for name, one in {**described, **conditions}.items()}
    resources = {name: texts[name] for name in template["Resources"]}
    named = {name: _named(text, texts) for name, text in texts.items()}
    rest = json.dumps(
        {part: one for part, one in template.items() if part not in {"Resources", "Conditions", "Outputs"}}
    )
    found = {}
    for name, text in resources.items():
        near = _reached(name, named)
        if LOOKED_AT_WITH_THOSE_THAT_NAME_IT.search(text):
            near |= {other for other, others in named.items() if name in others}
        found[name] = "\n".join([name, *(f"{one} {texts[one]}" for one in sorted(near)), rest])
    return found


def _without_notes(resource: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {name: one for name, one in resource.get("Metadata", {}).items() if not name.startswith("aws:")}
    return {**resource, "Metadata": metadata}


def _named(text: str, texts: Mapping[str, str]) -> set[str]:
    words = set(re.findall(r"\w+", text))
    return {name for name in texts if name.removeprefix("Conditions.") in words}


def _reached(name: str, named: Mapping[str, AbstractSet[str]]) -> set[str]:
    reached, new = {name}, {name}
    while new := {other for one in new for other in named[one]} - reached:
        reached |= new
    return reached


@cache
def _rules() -> Any:
    """Load cfn-lint's rules, which takes half a second, once: its command line, too, has many templates judged by them.

    They look into no resource whose name is in ``_left_out``.
    """
    from cfnlint.config import ConfigMixIn
    from cfnlint.jsonschema import _keywords
    from cfnlint.runner import Runner

    look_into = _keywords.patternProperties

    def look_into_others(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if list(validator.context.path.path) == ["Resources"]:
            instance = {name: one for name, one in instance.items() if name not in _left_out}
        return look_into(validator, patterns, instance, schema)

    with mock.patch.object(_keywords, "patternProperties", look_into_others):
        return Runner(ConfigMixIn([], ignore_checks=list(IGNORED))).rules


@contextmanager
def _without_repetition() -> Iterator[None]:
    """Make each kind of cfn-lint's validators once, and look for garbage afterwards.

    cfn-lint makes a new dataclass each time that a rule goes down into a property, a tenth of all its work.
    """
    from cfnlint.jsonschema import validators

    create = validators.create

    def created(
        validators: Mapping[str, Callable[..., Any]], function_filter: Any, fn_resolvers: Mapping[str, Any]
    ) -> Any:
        kind = _by_identity(validators), repr(function_filter), _by_identity(fn_resolvers)
        if kind not in _kinds:
            made = create(validators=validators, function_filter=function_filter, fn_resolvers=fn_resolvers)
            _kinds[kind] = made, validators, fn_resolvers  # as long as these live, their ids are theirs
        return _kinds[kind][0]

    gc.disable()
    try:
        with mock.patch.object(validators, "create", created):
            yield
    finally:
        gc.enable()


def _by_identity(functions: Mapping[str, Callable[..., Any]]) -> tuple[tuple[str, int, int], ...]:
    """Name functions by what they are, methods by whose they are: rules are equal to their own names."""
    return tuple(
        (name, id(getattr(one, "__self__", None)), id(getattr(one, "__func__", one))) for name, one in functions.items()
    )
