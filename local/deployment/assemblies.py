"""Cloud assemblies of the local stage, kept by everything that they are made from.

    .segue/assemblies/<key>/        an assembly, with placeholders where deployments differ
    .segue/assemblies/<key>.part/   one that is being made, or whose making was interrupted
    .segue/assemblies/<key>.lock    held while it is made, used or removed

A synthesis takes half a minute of processor time, and its result follows from files of the checkout, installed packages
and options. The key is a hash of all of them; the same key is not made again. What is new in each deployment, such as
its version, is filled in afterwards.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from local.errors import LocalError
from local.settings import ROOT

RECIPE = "1"
"""Raised when this module makes something else of the same sources."""

SOURCES = ("infra", "functions", "layers/session", "requirements", "web/page/dist")
"""Folders that a synthesis reads, or imports code from. Some of them need not be there."""

FILES = (
    *("cdk.json", "cdk.context.json", "package.json", "package-lock.json", "node_modules/.package-lock.json"),
    *("pyproject.toml", ".python-version"),
)
"""Files that a synthesis reads. Some of them need not be there."""

UNRELATED = frozenset({"AWS_ENDPOINT_URL", "CDK_HOME", "TMPDIR"})
"""Variables of the CDK's environment that differ from stack to stack, and that no synthesis reads."""

ATTEMPTS = 3
"""Syntheses during which a source may change, until it is an error."""

KEPT = 4
"""Assemblies that are kept, of 100 MB each."""

UNUSED_SECONDS = 3600.0
"""Time since its last use after which an assembly may be removed: a deployment may be reading it."""

LOCK_POLL_SECONDS = 0.1

UNUSED_METADATA = ("aws:cdk:acknowledged-rules", "aws:cdk:analytics:", "aws:cdk:creationStack")
"""Beginnings of the kinds of metadata that no deployment shows: nine tenths of a file that the CDK's command line reads
and parses for each event of a stack, for a fifth of its processor time."""

Synthesize = Callable[[Path], Awaitable[None]]


def fingerprint(root: Path, options: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the key of an assembly: a hash of everything that a synthesis depends on.

    Args:
        root: Root of the checkout.
        options: Options of ``cdk synth``.
        environment: Environment of ``cdk synth``.
    """
    digest = hashlib.sha256()
    variables = {name: value for name, value in environment.items() if name not in UNRELATED}
    node = shutil.which("node", path=environment.get("PATH")) or ""
    facts = [RECIPE, str(root), sys.version, platform.platform(), list(options), variables, os.path.realpath(node)]
    facts.append(sorted(path.name for path in root.glob(".venv/lib/python*/site-packages/*.dist-info")))
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for path in _read_by_a_synthesis(root, Path(environment.get("HOME", os.devnull))):
        content = path.read_bytes()
        digest.update(f"\0{path}\0{path.stat().st_mode:o}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _read_by_a_synthesis(root: Path, home: Path) -> Iterator[Path]:
    yield from (path for path in (*(root / name for name in FILES), home / ".cdk.json") if path.is_file())
    for folder in SOURCES:
        for path in sorted((root / folder).rglob("*")):
            if "__pycache__" not in path.parts and path.is_file():
                yield path


class Assemblies:
    """The kept assemblies of a checkout."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._folder = root / ".segue" / "assemblies"

    async def write(
        self,
        target: Path,
        options: Sequence[str],
        environment: Mapping[str, str],
        values: Mapping[str, str],
        synthesize: Synthesize,
    ) -> None:
        """Write an assembly, from the kept one if no source of it has changed.

        Args:
            target: Folder of the assembly; what is in it is replaced.
            options: Options of ``cdk synth``.
            environment: Environment of ``cdk synth``.
            values: A text for each placeholder that the options have.
            synthesize: Runs ``cdk synth`` with the options and the environment, into a folder.

        Raises:
            LocalError: Sources change all the time.
        """
        for _ in range(ATTEMPTS):
            key = await asyncio.to_thread(fingerprint, self._root, options, environment)
            async with self._locked(key):
                if await self._synthesize_once(key, options, environment, synthesize):
                    os.utime(self._folder / key)
                    await asyncio.to_thread(fill, self._folder / key, target, values)
                    await asyncio.to_thread(self._remove_unused)
                    return
        msg = "the sources change while they are synthesized: deploy again."
        raise LocalError(msg)

    async def _synthesize_once(
        self, key: str, options: Sequence[str], environment: Mapping[str, str], synthesize: Synthesize
    ) -> bool:
        assembly, part = self._folder / key, self._folder / f"{key}.part"
        if assembly.is_dir():
            return True
        await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)
        await synthesize(part)
        if await asyncio.to_thread(fingerprint, self._root, options, environment) != key:
            return False  # a source was changed meanwhile: the assembly may be of either
        part.rename(assembly)
        return True

    @asynccontextmanager
    async def _locked(self, key: str) -> AsyncIterator[None]:
        self._folder.parent.mkdir(mode=0o700, exist_ok=True)  # the folder of a local stack's conversations, too
        self._folder.mkdir(exist_ok=True)
        with (self._folder / f"{key}.lock").open("w", encoding="ascii") as lock:
            while not _lock(lock.fileno()):  # noqa: ASYNC110 - another process holds it
                await asyncio.sleep(LOCK_POLL_SECONDS)
            yield

    def _remove_unused(self) -> None:
        folders = [path for path in self._folder.iterdir() if path.is_dir()]
        for path in sorted(folders, key=lambda path: path.stat().st_mtime)[:-KEPT]:
            if time.time() - path.stat().st_mtime < UNUSED_SECONDS:
                continue
            with (self._folder / f"{path.name.removesuffix('.part')}.lock").open("w", encoding="ascii") as lock:
                if _lock(lock.fileno()):
                    shutil.rmtree(path, ignore_errors=True)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def fill(assembly: Path, target: Path, values: Mapping[str, str]) -> None:
    """Write an assembly with values in place of its placeholders; its assets are links to the kept ones.

    A template's asset is named by the hash of the template: it gets another name with another content, since what is
    uploaded already by that name is not uploaded again.
    """
    if target.is_symlink() or target.is_file():
        target.unlink()
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (assembly / ".cache").mkdir(exist_ok=True)  # where the CDK keeps zipped assets: each is zipped once
    templates, filled = {}, {}
    for path in assembly.iterdir():
        if path.suffix == ".json":
            templates[path.name] = text = path.read_text(encoding="utf-8")
            filled[path.name] = _replaced(text, {name: json.dumps(value)[1:-1] for name, value in values.items()})
        elif path.name == "cdk.out":
            shutil.copyfile(path, target / path.name)
        elif path.is_dir() or path.name.startswith("asset."):
            (target / path.name).symlink_to(path)
    names = {_hash(templates[name]): _hash(filled[name]) for name in templates if name.endswith(".template.json")}
    for name, text in filled.items():
        content = _used_metadata(text) if name.endswith(".metadata.json") else text
        (target / name).write_text(_replaced(content, names), encoding="utf-8")


def _used_metadata(text: str) -> str:
    """Return a stack's metadata without what no deployment shows."""
    constructs: dict[str, list[dict[str, Any]]] = json.loads(text)
    used = {
        path: [entry for entry in entries if not entry["type"].startswith(UNUSED_METADATA)]
        for path, entries in constructs.items()
    }
    return json.dumps({path: entries for path, entries in used.items() if entries})


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
