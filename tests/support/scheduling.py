"""Distribution of tests to processes, as a plugin of pytest: whole files, the longest first."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling
from xdist.workermanage import WorkerController


class Files(LoadFileScheduling):
    """xdist's distribution of files, but for a test whose process died: it has failed, and is not run again.

    xdist deals such a test out again, and it kills the next process, until no more may be started.
    """

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
    return Files(config, log) if config.getvalue("dist") == "loadfile" else None
