"""The sources of a deployment as they were at a moment, and what has to be deployed again since.

    functions/worker, functions/turn            workers, and the text function's code: no synthesis
    everything else that stands here            synthesis and deployment of both stacks, then workers

The text function imports ``worker.agent``, and so has the folder of the workers.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path

QUICK = ("functions/worker/", "functions/turn/")
"""Folders of which a change leaves the templates as they are, apart from the hash of the text function's code."""

TEXT_FUNCTION = ("shared", "turn", "worker")
"""Folders below ``functions/`` that the text function consists of (``infra.constructs.turns``)."""

DEPLOYED = ("functions", "infra", "layers/session/python/segue", "requirements")
"""Folders that a deployment is made of."""

FILES = ("cdk.json",)

SUFFIXES = {".py", ".txt", ".json", ".dockerignore", ""}
"""Of files that count; not of bytecode and editors' own."""

Sources = Mapping[str, str]
"""Digests of files, by their paths from the root."""


class Change(Enum):
    """The part of a deployment that has to be made anew."""

    NOTHING = "nothing"
    AGENTS = "agents"
    EVERYTHING = "everything"


def read(root: Path) -> Sources:
    """Read all sources; some 300 small files."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(_files(root))
        if path.is_file()
    }


def _files(root: Path) -> Iterator[Path]:
    for folder in DEPLOYED:
        for path in (root / folder).rglob("*"):
            if path.suffix in SUFFIXES and "__pycache__" not in path.parts and not path.name.startswith("."):
                yield path
    yield from (root / name for name in FILES)


def change(before: Sources, now: Sources) -> Change:
    """Compare two readings."""
    changed = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    if not changed:
        return Change.NOTHING
    return Change.AGENTS if all(name.startswith(QUICK) for name in changed) else Change.EVERYTHING


def text_function(root: Path) -> bytes:
    """Pack the text function's code as the CDK does it, into a zip file."""
    packed = io.BytesIO()
    functions = root / "functions"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder in TEXT_FUNCTION:
            for path in sorted((functions / folder).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("Dockerfile"):
                    archive.write(path, str(path.relative_to(functions)))
    return packed.getvalue()
