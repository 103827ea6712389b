"""Code and layers of functions, unpacked once; part of the emulator's program, and run by its own Python.

    <folder>/<hash of the archive>/         its content, and the bytecode that functions have compiled of it
    <folder>/<hash of the archive>.part/    one that is being unpacked, or whose unpacking was interrupted
    <folder>/<hash of the archive>.lock     held by each emulator whose functions may read it
    <folder>/lock                           held while one is made or removed

For every process of a function the emulator unpacks its code and its layers into a new folder, and Python compiles
there all that the function imports: that was most of the time in which a text function starts. Here the new folder gets
links. On AWS, too, a function cannot write to its code and its layers.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import IO, Any

KEPT = 24
"""Archives that are kept: those of two deployments and of some changes, of 60 MB or less each."""

UNUSED_SECONDS = 3600.0
"""Time since its last use after which one beyond them is removed."""


class Unpacked:
    """Unpacked archives, which the emulators of a checkout share.

    Args:
        folder: Where they are.
        wall_clock: Seconds since 1970.
    """

    def __init__(self, folder: Path, wall_clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._wall_clock = wall_clock
        self._locks: dict[str, IO[str]] = {}

    def link(self, archive: Path, target: Path) -> None:
        """Put links to what is in an archive into a folder.

        Args:
            archive: A zip file.
            target: The folder.

        Raises:
            OSError: There is no room for it, or the folder has something of one of its names.
            zipfile.BadZipFile: It is no zip file.
        """
        with archive.open("rb") as file:
            name = hashlib.file_digest(file, "sha256").hexdigest()
        folder = self._folder / name
        if name not in self._locks or not folder.is_dir():
            self._keep(folder, archive)
        os.utime(folder)
        for entry in folder.iterdir():
            (target / entry.name).symlink_to(entry)

    def _keep(self, target: Path, archive: Path) -> None:
        """Unpack an archive if it is not there, and lock it for as long as this process lives."""
        for parent in (self._folder.parent, self._folder):  # conversations of a local stack are beside it
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "lock").open("w", encoding="ascii") as lock_file:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            if not target.is_dir():
                part = target.with_suffix(".part")
                shutil.rmtree(part, ignore_errors=True)
                with zipfile.ZipFile(archive) as zip_file:
                    zip_file.extractall(part)
                part.rename(target)
            if target.name not in self._locks:
                lock = self._locks[target.name] = target.with_suffix(".lock").open("w", encoding="ascii")
                fcntl.flock(lock, fcntl.LOCK_SH)
            self._remove_unused()

    def _remove_unused(self) -> None:
        folders = sorted((path.stat().st_mtime, path) for path in self._folder.iterdir() if path.is_dir())
        for last_used, path in folders[:-KEPT]:
            if self._wall_clock() - last_used < UNUSED_SECONDS:
                continue
            with path.with_suffix(".lock").open("w", encoding="ascii") as lock, contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
                path.with_suffix(".lock").unlink(missing_ok=True)


def zipfile_that_links(unpacked: Unpacked) -> ModuleType:
    """Return what stands for the module ``zipfile`` where the emulator unpacks functions and layers."""

    class LinkingZipFile(zipfile.ZipFile):
        def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:
            del members, pwd  # the emulator has none
            unpacked.link(Path(str(self.filename)), Path(path))

        def namelist(self) -> list[str]:
            """Return nothing: the emulator looks whether a name leads out of its folder, and gets links alone."""
            return []

    module = ModuleType(zipfile.__name__)
    vars(module).update(vars(zipfile), ZipFile=LinkingZipFile)
    return module
