"""CloudFormation's own opinion of a template, by cfn-lint; asked once for each content."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

IGNORED = {
    "W3005": "CDK writes dependencies that a reference implies already",
    "W3037": "bedrock:InvokeModelWithBidirectionalStream is not in the published list of actions",
}


_found: dict[str, tuple[str, ...]] = {}
_kinds: dict[object, Any] = {}


def problems(template: Path) -> tuple[str, ...]:
    """List what is wrong with a template."""
    text = template.read_text(encoding="utf-8")
    if text not in _found:
        from cfnlint.api import lint_file  # two seconds that only the processes pay that ask it

        with _without_repetition():
            found = lint_file(template, config={"ignore_checks": list(IGNORED)})
        _found[text] = tuple(f"{each.rule.id} {each.message} {getattr(each, 'path', '')}" for each in found)
    return _found[text]


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
        _kinds.clear()


def _by_identity(functions: Mapping[str, Callable[..., Any]]) -> tuple[tuple[str, int, int], ...]:
    """Name functions by what they are, methods by whose they are: rules are equal to their own names."""
    return tuple(
        (name, id(getattr(one, "__self__", None)), id(getattr(one, "__func__", one))) for name, one in functions.items()
    )
