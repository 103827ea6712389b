"""CloudFormation's own opinion of a template, by cfn-lint; asked once for each content."""

from __future__ import annotations

from pathlib import Path

from cfnlint.api import lint_file

IGNORED = {
    "W3005": "CDK writes dependencies that a reference implies already",
    "W3037": "bedrock:InvokeModelWithBidirectionalStream is not in the published list of actions",
}


_found: dict[str, tuple[str, ...]] = {}


def problems(template: Path) -> tuple[str, ...]:
    """List what is wrong with a template."""
    text = template.read_text(encoding="utf-8")
    if text not in _found:
        found = lint_file(template, config={"ignore_checks": list(IGNORED)})
        _found[text] = tuple(f"{each.rule.id} {each.message} {each.path}" for each in found)
    return _found[text]
