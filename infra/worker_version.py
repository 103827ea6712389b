"""Short names for what the workers run: they decide whether a deployment replaces the workers, and say why it would.

    WorkerVersion   of image and variables; in the task definition, so that another one replaces the workers
    WorkerParts     agent=…,image=…,settings=…: the same in parts, with the task's size

Both are outputs of the service stack; preflight compares them with those of a synthesis.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from aws_cdk import Token

from infra.config import Config
from infra.constants import FUNCTIONS

VERSION_DIGITS: Final = 12
PART_DIGITS: Final = 8
AGENT: Final = FUNCTIONS / "worker" / "agent.py"
REASONS: Final = {"agent": "agent.py", "image": "code, locks or the base image", "settings": "settings"}
"""By part of ``WorkerParts``, in the order in which they are named."""


def version(content: str, variables: Mapping[str, str]) -> str:
    """A short name for an image and its variables; those that are known at the deployment only are left out.

    Args:
        content: A hash of the image's content, or its address.
        variables: Of the container.
    """
    return _hash(VERSION_DIGITS, content, _resolved(variables))


def parts(config: Config, content: str, variables: Mapping[str, str]) -> str:
    """The version in parts, so that a comparison says what has changed.

    Args:
        config: The deployment.
        content: As for ``version``.
        variables: As for ``version``.
    """
    task = [config.worker_cpu, config.worker_memory, config.architecture, config.provider_secret_arn]
    inputs = {
        # An image from elsewhere has an agent of its own.
        "agent": "" if config.worker_image else AGENT.read_text(encoding="utf-8"),
        "image": content,
        "settings": [_resolved(variables), task],
    }
    return ",".join(f"{name}={_hash(PART_DIGITS, part)}" for name, part in inputs.items())


def changed(before: str, now: str) -> list[str]:
    """The parts that differ, in words; empty if nothing does.

    Args:
        before: ``WorkerParts`` of the deployed stack.
        now: Of the synthesis.
    """
    old, new = (dict(each.partition("=")[::2] for each in version_parts.split(",")) for version_parts in (before, now))
    different = [name for name in REASONS if old.get(name) != new.get(name)]
    if "agent" in different and "image" in different:
        different.remove("image")  # the agent is in it
    return [REASONS[name] for name in different]


def _resolved(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if not Token.is_unresolved(value)}


def _hash(digits: int, *content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:digits]
