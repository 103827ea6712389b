"""A redeployment at each save of a source file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from local.deployment.sources import DEPLOYED, FILES, Change
from local.errors import LocalError
from local.progress import Progress
from local.settings import Settings

QUIET_MS = 300
"""Milliseconds without a further change before a save counts: editors write a file in several steps."""


class Watched(Protocol):
    """A running stack, as far as its sources are watched."""

    settings: Settings
    progress: Progress

    async def change(self) -> Change:
        """Return the part of the deployment that is not what the sources say now."""

    async def redeploy(self, *, everything: bool = True) -> None:
        """Deploy again, everything or what has changed, and replace the workers."""


@contextlib.asynccontextmanager
async def watching(stack: Watched, *, enabled: bool = True) -> AsyncIterator[None]:
    """Deploy what has changed, at each save, for as long as the block lasts.

    Args:
        stack: What is deployed.
        enabled: False: nothing is watched.
    """
    task = asyncio.create_task(watch(stack), name="watch") if enabled else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def watch(stack: Watched) -> None:
    """Deploy what has changed, at each save; a mistake is told, and the next save tries again."""
    from watchfiles import awatch  # a library in Rust, which only a person who watches waits for

    root = stack.settings.root
    paths = [path for name in (*DEPLOYED, *FILES) if (path := root / name).exists()]
    stack.progress.note("watching the sources: each save is deployed")
    async for _ in awatch(*paths, debounce=QUIET_MS, step=100, raise_interrupt=False):
        await deploy_changes(stack)


async def deploy_changes(stack: Watched) -> None:
    """Deploy what is not as the sources say now; nothing, if a file was saved as it was."""
    if await stack.change() is Change.NOTHING:
        return
    try:
        await stack.redeploy(everything=False)
    except LocalError as error:
        stack.progress.note(str(error))
    else:
        stack.progress.note("the new version answers")
