"""The error of a process that cannot run in its environment."""

from __future__ import annotations


class EnvironmentProblem(Exception):  # noqa: N818 - it names a situation for the person who deploys
    """Raised when the process cannot run with these variables, or with this model. The text names each problem."""
