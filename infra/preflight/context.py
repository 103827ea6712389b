"""The settings as a synthesis reads them: ``-c`` first, then ``cdk.json``, then the user's own ``~/.cdk.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from botocore.session import get_session

from infra.config import Config, from_context
from infra.constants import ROOT
from infra.preflight.account import DEFAULT_REGION, callers_region

FILES = (Path.home() / ".cdk.json", ROOT / "cdk.context.json", ROOT / "cdk.json")
"""From the weakest to the strongest, as the CDK's command line merges them."""


class WrongUsageError(ValueError):
    """Raised when an option is not ``name=value``, or a file of the context is no JSON object."""


def read(options: Iterable[str], files: Iterable[Path] = FILES) -> Config:
    """Read the configuration of the deployment that ``npx cdk deploy`` would make with these flags.

    Args:
        options: The values of ``-c``, each ``name=value``.
        files: Files of the CDK's context, from the weakest to the strongest.

    Raises:
        ConfigurationError: As at a synthesis.
        WrongUsageError: An option is not ``name=value``, or a file is no JSON object.
    """
    context: dict[str, Any] = {}
    for path in files:
        if path.is_file():
            content = _object(path)
            context |= content if path.name == "cdk.context.json" else content.get("context", {})
    for option in options:
        name, separator, value = option.partition("=")
        if not separator:
            raise WrongUsageError(f"-c {option}: give it as name=value")
        context[name] = value
    configured: str | None = get_session().get_config_variable("region")
    return from_context(context, region=callers_region(configured) or DEFAULT_REGION)


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WrongUsageError(f"{path.name} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise WrongUsageError(f"{path.name} is no JSON object")
    return content
