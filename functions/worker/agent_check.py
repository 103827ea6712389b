"""Check of ``agent.py`` before anything is replaced: the file is imported, and its agents are built and looked at.

    python -m worker.agent_check                   both agents
    python -m worker.agent_check --only text       one of them
    python -m worker.agent_check --elsewhere       on a machine where the agents will not run, such as an image's build
    python -m worker.agent_check --lock turn.txt   and what the file imports has to be locked there

Each mistake is one line on standard error, with file and line; then the exit code is 1. With ``--elsewhere``, what only
the deployment has (network, credentials, variables) is noted and is no mistake.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.environment_problem import EnvironmentProblem

MODULE: Final = "worker.agent"
BUILDERS: Final = {"voice": "build_agent", "text": "build_text_agent"}
KINDS: Final = {"voice": "BidiAgent", "text": "Agent"}
"""The class of Strands that each builder has to return."""

OURS: Final = frozenset({"segue", "shared", "turn", "worker"})
"""Packages that are shipped with the file."""

_PINNED: Final = re.compile(r"^([a-z0-9.-]+)(?:\[[^\]]*\])?==", re.MULTILINE)

_ABSENT: Final = frozenset(
    {
        "ConnectError",  # of httpx, which MCP's client uses
        "EndpointConnectionError",
        "MCPClientInitializationError",
        "NoCredentialsError",
        "NoRegionError",
        "PartialCredentialsError",
        "TokenRetrievalError",
    }
)
"""Names of errors that say what a machine lacks. By name, because none of these packages need be there."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, or cannot be told here.

    Attributes:
        place: ``file:line``, as editors and terminals take it.
        text: What is wrong, and what to do.
        elsewhere: True if it need not be wrong where the agents run.
    """

    place: str
    text: str
    elsewhere: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


def check(kinds: tuple[str, ...] = tuple(BUILDERS), locks: Sequence[Path] = ()) -> list[Mistake]:
    """Import the file and build its agents.

    Args:
        kinds: Which agents: ``voice``, ``text``.
        locks: Requirements in which everything that the file imports has to be.

    Returns:
        What is wrong; empty if nothing is.
    """
    path = agent_file()
    try:
        module = importlib.import_module(MODULE)
    except Exception as error:  # noqa: BLE001 - the file is the user's: anything may be raised
        return [_mistake(error, path)]
    return [*_unlocked(path, locks), *(mistake for kind in kinds for mistake in _built(module, kind, path))]


def agent_file() -> Path:
    """Find the file without running it."""
    found = importlib.util.find_spec(MODULE)
    if found is None or found.origin is None:
        raise EnvironmentProblem("there is no worker/agent.py on the path: run this from the repository")
    return Path(found.origin)


def _unlocked(path: Path, locks: Sequence[Path]) -> Iterator[Mistake]:
    """Find imports that work here and would not where only the locked packages are."""
    if not locks:
        return
    installed = importlib.metadata.packages_distributions()
    pinned = {lock: set(_PINNED.findall(lock.read_text(encoding="utf-8"))) for lock in locks}
    for line, name in _imported(path):
        packages = {re.sub(r"[-_.]+", "-", each).lower() for each in installed.get(name, ())}
        for lock in locks:
            if packages and not packages & pinned[lock]:
                yield Mistake(
                    f"{path}:{line}",
                    f"{name} is installed here, and not in {lock.name}: make add PACKAGE={min(packages)}, or import it "
                    "in the function that needs it",
                )


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    """Lines and names of the packages that the file imports whenever it is imported itself."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in {each.partition(".")[0] for each in names}:
            if name not in sys.stdlib_module_names and name not in OURS:
                yield node.lineno, name


def _built(module: Any, kind: str, path: Path) -> Iterator[Mistake]:
    """Build one agent and look at it."""
    name = BUILDERS[kind]
    builder = getattr(module, name, None)
    if not callable(builder):
        yield Mistake(f"{path}:1", f"there is no function {name}; it builds the {kind} agent, and gets session_manager")
        return
    try:
        agent = builder(None)
    except Exception as error:  # noqa: BLE001 - as above
        yield _mistake(error, path, f"{name} raised ")
        return
    if KINDS[kind] not in {each.__name__ for each in type(agent).__mro__}:
        yield Mistake(
            _place(builder, path), f"{name} returned {type(agent).__name__}; it has to return Strands' {KINDS[kind]}"
        )
        return
    yield from _undescribed(agent, path)


def _undescribed(agent: Any, path: Path) -> Iterator[Mistake]:
    """Find the tools of which a model knows the name and nothing else."""
    for name, tool in agent.tool_registry.registry.items():
        function = getattr(tool, "__wrapped__", None)
        if function is None:
            continue  # of an MCP server, or a class of its own: no function with a docstring
        description = str(tool.tool_spec.get("description") or "").strip()
        if description in {"", name, function.__name__}:
            yield Mistake(
                _place(function, path),
                f"the tool {name} has no docstring: it tells the model what the tool does and when to use it",
            )


def _place(function: Callable[..., Any], path: Path) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{path}:1" if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _mistake(error: Exception, path: Path, lead: str = "") -> Mistake:
    """Put an exception into one line, at the line of the file that led to it."""
    if isinstance(error, SyntaxError) and error.filename:
        return Mistake(f"{error.filename}:{error.lineno or 1}", f"{type(error).__name__}: {error.msg}")
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.filename == str(path)]
    place = f"{path}:{inside[-1].lineno if inside else 1}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return Mistake(
            place, f"there is no module {error.name!r} here: for a package of PyPI, make add PACKAGE={package}"
        )
    if isinstance(error, EnvironmentProblem):
        return Mistake(place, str(error))
    text = f"{lead}{type(error).__name__}: {str(error).strip() or 'without a text'}".splitlines()[0]
    if isinstance(error, KeyError) and frames[-1].filename == "<frozen os>":
        text = f"{lead or 'it '}needs the environment variable {error}"
    return Mistake(place, text, elsewhere=_lacks_surroundings(error, frames))


def _lacks_surroundings(error: BaseException, frames: traceback.StackSummary) -> bool:
    """Tell what the machine lacks from what the file has wrong."""
    if isinstance(error, KeyError):
        return frames[-1].filename == "<frozen os>"
    cause: BaseException | None = error
    while cause is not None:
        names = {each.__name__ for each in type(cause).__mro__}
        if names & _ABSENT or isinstance(cause, ConnectionError | TimeoutError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def main(arguments: list[str] | None = None) -> int:
    """Check, tell, and return the exit code."""
    parser = argparse.ArgumentParser("python -m worker.agent_check", description="Check functions/worker/agent.py.")
    parser.add_argument("--only", choices=tuple(BUILDERS), help="one of the two agents")
    parser.add_argument("--elsewhere", action="store_true", help="note what only the deployment has")
    parser.add_argument("--lock", action="append", type=Path, default=[], help="what the file imports has to be here")
    chosen = parser.parse_args(arguments)
    found = check((chosen.only,) if chosen.only else tuple(BUILDERS), chosen.lock)
    wrong = [mistake for mistake in found if not (chosen.elsewhere and mistake.elsewhere)]
    for mistake in found:
        note = "" if mistake in wrong else " (cannot be told here: where the agents run, it may be right)"
        sys.stderr.write(f"{mistake}{note}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
