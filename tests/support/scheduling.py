"""Distribution of tests to processes, as a plugin of pytest.

Files stay whole. Those with the longest limits come early, so that no process is left alone with one at the end.

A run of all tests has processes of three kinds, and each collects its own tests only. As many as the run was told
compute, and half as many more, since these tests, too, wait now and then for a process, a socket or a thread. Beside
them, half as many as were told, and two on two cores, take the tests that deploy: they keep a core busy at their
beginning, and wait most of the time afterwards. Half as many take those that wait for leases to run out, and would
leave a core idle.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from xdist.report import report_collection_diff
from xdist.scheduler.loadfile import LoadFileScheduling
from xdist.workermanage import WorkerController

_T = TypeVar("_T")

APART = ("tests/simulation/", "tests/e2e/test_demo.py", "tests/integration/test_storage_hangs.py")
"""Files that do not stay whole: their tests take long and have nothing in common."""

DEPLOYS, WAITS, COMPUTES = "deploys", "waits", "computes"
"""Kinds of processes. A process of a run of some tests only has no kind, and takes them all."""

PLACES = {
    DEPLOYS: ("tests/browser/", "tests/chaos/test_chaos.py", "tests/e2e/", "tests/integration/test_deployment.py"),
    WAITS: ("tests/chaos/", "tests/integration/"),
}
"""Beginnings of the paths of each kind's tests; the first that fits decides, and all others are to be computed."""

NICE = 4
"""Niceness of a process that computes: it gives way, so that calls and heartbeats of those that wait are in time."""

MOST_DEPLOYING, MOST_WAITING = 4, 2
"""Processes beside those that compute, at most: a deployment takes 500 MB."""

TOGETHER = "tests/infra/"
"""Folder whose files are one, and the first: the CDK takes a quarter of a minute to begin in a process, and a stage
that several of them synthesize is synthesized once in a process."""

SHARING = ("tests/browser/", "tests/e2e/test_isolation.py", "tests/e2e/test_text_turns.py")
"""Places of the tests that share a deployed stack (``tests.support.local_stack``): together they are one, too."""

LIGHT = "tests/unit/"
"""Folders whose files need a second or two."""

LIGHT_BETWEEN = 3
"""Light files after each of the others."""


class Files(LoadFileScheduling):
    """xdist's distribution of files, but for two things.

    A test whose process died has failed, and is not run again: xdist deals it out again, and it kills the next process,
    until no more may be started. And each kind of processes has tests of its own.
    """

    def schedule(self) -> None:
        """Deal out the first files, or some to a process that is new."""
        if self.collection is None:
            kinds = {kind_of_process(node) for node in self.nodes}
            assert kinds in ({None}, {COMPUTES, DEPLOYS, WAITS}), "there are tests that no process has collected"
            everything = itertools.chain.from_iterable(self.registered_collections.values())
            self.collection = list(dict.fromkeys(everything))
            for test in self.collection:
                self.workqueue.setdefault(self._split_scope(test), {})[test] = False
        for node in list(self.nodes):
            self._reschedule(node)
            self._reschedule(node)  # a process runs a test when it knows the next one

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Take what a process has collected: all of a kind collect the same."""
        for other, collected in self.registered_collections.items():
            if kind_of_process(other) == kind_of_process(node) and collected != collection:
                raise AssertionError(report_collection_diff(collected, collection, other.gateway.id, node.gateway.id))
        self.registered_collections[node] = list(collection)

    def remove_node(self, node: WorkerController) -> str | None:
        """Return the test that ended the process, if one did; the others of its files are dealt out again."""
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

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(APART):
            return nodeid
        if nodeid.startswith(SHARING):
            return SHARING[0]
        return TOGETHER if nodeid.startswith(TOGETHER) else super()._split_scope(nodeid)

    def _reschedule(self, node: WorkerController) -> None:
        if node.shutting_down or node not in self.registered_collections:
            return
        kind = kind_of_process(node)
        scope = next((scope for scope in self.workqueue if kind in {None, kind_of_test(scope)}), None)
        if scope is None:
            node.shutdown()
        elif self._pending_of(self.assigned_work[node]) < 2:
            self.workqueue.move_to_end(scope, last=False)
            self._assign_work_unit(node)


class Kinds:
    """Tells each process which tests it takes, and the run how many there are."""

    def __init__(self, cores: int) -> None:
        half = (cores + 1) // 2
        deploying, waiting = min(max(half, 2), cores, MOST_DEPLOYING), min(half, MOST_WAITING)
        self._free = [WAITS] * waiting + [DEPLOYS] * deploying + [COMPUTES] * (cores + cores // 2)
        self.processes = len(self._free)
        self._counts: dict[str, int] = {}
        self._session: pytest.Session | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session

    def pytest_configure_node(self, node: WorkerController) -> None:
        node.workerinput["kind"] = self._free.pop()

    def pytest_testnodedown(self, node: WorkerController, error: object | None) -> None:
        if error is not None:  # another takes its place
            self._free.append(node.workerinput["kind"])

    def pytest_xdist_node_collection_finished(self, node: WorkerController, ids: Sequence[str]) -> None:
        self._counts[node.workerinput["kind"]] = len(ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Let the progress be of all tests: xdist has it of the process that was last to collect."""
        if self._session is not None:
            self._session.testscollected = sum(self._counts.values())


def kind_of_process(node: WorkerController) -> str | None:
    kind: str | None = node.workerinput.get("kind")
    return kind


def kind_of_test(nodeid: str) -> str:
    """Return the kind of processes that a test or a file is for."""
    return next((kind for kind, places in PLACES.items() if nodeid.startswith(places)), COMPUTES)


def has_tests_for(folder: str, kind: str) -> bool:
    """Tell whether a folder may have tests for a kind of processes.

    Args:
        folder: Its path with a slash at the end.
        kind: The kind.
    """
    if kind == COMPUTES:
        return not folder.startswith(tuple(itertools.chain.from_iterable(PLACES.values())))
    return any(folder.startswith(place) or place.startswith(folder) for place in PLACES[kind])


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Add processes that deploy and processes that wait, if all tests are run."""
    option = config.option
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and option.maxprocesses is None
    if option.dist == "loadfile" and whole and isinstance(option.numprocesses, int) and option.numprocesses > 0:
        kinds = Kinds(option.numprocesses)
        config.pluginmanager.register(kinds, "segue-kinds")
        option.numprocesses = kinds.processes
        option.tx = ["popen"] * option.numprocesses  # xdist's own hook may have come first


def pytest_configure(config: pytest.Config) -> None:
    if getattr(config, "workerinput", {}).get("kind") == COMPUTES:
        os.nice(NICE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Spare a process the collection of what it does not take."""
    kind = getattr(config, "workerinput", {}).get("kind")
    if kind is None or not collection_path.is_relative_to(config.rootpath):
        return None
    path = collection_path.relative_to(config.rootpath).as_posix()
    if collection_path.is_dir():
        return None if path == "." or has_tests_for(f"{path}/", kind) else True
    return None if kind_of_test(path) == kind else True


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Files | None:
    if config.getvalue("dist") != "loadfile":
        return None
    return Files(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not hasattr(config, "workerinput"):
        return
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    heavy = sorted(
        (name for name in files if not name.startswith(LIGHT)),
        key=lambda name: (not name.startswith(TOGETHER), -_limit(files[name]), name),
    )
    light = sorted(
        (name for name in files if name.startswith(LIGHT)),
        key=lambda name: (-_limit(files[name]), -len(files[name]), name),
    )
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
