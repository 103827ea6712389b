"""Distribution of tests to processes, as a plugin of pytest.

Files stay whole. Those with the longest limits come early, so that no process is left alone with one at the end, and
spread among the unit tests, so that no two cores carry four deployments at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling
from xdist.workermanage import WorkerController

_T = TypeVar("_T")

APART = ("tests/simulation/", "tests/infra/test_documentation.py")
"""Files that do not stay whole: their tests compute for long and have nothing in common."""

LIGHT = "tests/unit/"
"""Folders whose files need a second or two."""

LIGHT_BETWEEN = 3
"""Light files after each of the others."""


class Files(LoadFileScheduling):
    """xdist's distribution of files, but for a test whose process died: it has failed, and is not run again.

    xdist deals such a test out again, and it kills the next process, until no more may be started.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(APART) else super()._split_scope(nodeid)

    def remove_node(self, node: WorkerController) -> str | None:
        workload = self.assigned_work.pop(node)
        fatal = next((test for tests in workload.values() for test, done in tests.items() if not done), None)
        if fatal is None:
            return None
        for file, tests in workload.items():
            left = {test: done or test == fatal for test, done in tests.items()}
            if not all(left.values()):
                self.workqueue[file] = left
        for other in self.assigned_work:
            self._reschedule(other)
        return fatal


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Files | None:
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # the order is that of the collection
    return Files(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not hasattr(config, "workerinput"):
        return
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    heavy = sorted(
        (name for name in files if not name.startswith(LIGHT)), key=lambda name: (-_limit(files[name]), name)
    )
    light = sorted((name for name in files if name.startswith(LIGHT)), key=lambda name: (-len(files[name]), name))
    items[:] = [item for name in spread(heavy, light) for item in files[name]]


def spread(heavy: Iterable[_T], light: Iterable[_T]) -> Iterator[_T]:
    """Yield each heavy one with some of the light ones after it, and then what is left of these."""
    rest = iter(light)
    for one in heavy:
        yield one
        yield from itertools.islice(rest, LIGHT_BETWEEN)
    yield from rest


def _limit(items: Iterable[pytest.Item]) -> float:
    """Return the longest limit that a marker gives to one of the tests, in seconds."""
    marks = (item.get_closest_marker("timeout") for item in items)
    return max((float(mark.args[0]) for mark in marks if mark is not None), default=0.0)
