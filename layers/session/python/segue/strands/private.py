"""Strands' private names: each is reached from here only, and is checked when this module is imported.

Strands may rename them in any release. A release that lacks one is refused at the import, in one line that names it,
and not in the middle of a conversation. ``make matrix STRANDS=<version>`` tries a release.

Attributes that only a constructor sets are looked for in the constructor's code: no agent exists at the import.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from strands._context_manager.stash import Stash
    from strands.agent.agent import Agent
    from strands.hooks.events import BeforeToolCallEvent
    from strands.types.agent import LocalAgent

__all__ = [
    "SNAPSHOT_SCHEMA_VERSION",
    "Invocations",
    "Snapshot",
    "callbacks_of",
    "function_of",
    "interventions_of",
    "invocations_of",
    "is_started",
    "resume_own_message",
    "see_that_no_task_is_tracked",
    "stash_of",
    "state_version",
    "waits_for_answer",
]

RANGE: Final = "strands-agents>=1.58,<2"
"""Releases that are supported, as in pyproject.toml. 1.58 is the first whose ``BidiAgent`` takes a session manager."""

NEEDED: Final = (
    "strands.types._snapshot:Snapshot",
    "strands.types._snapshot:SNAPSHOT_SCHEMA_VERSION",
    "strands.types.agent:LocalAgent",
    "strands.agent.agent:Agent.__init__._concurrency",
    "strands.agent.agent:Agent.__init__._background_tasks",
    "strands.agent.agent:Agent.__init__._interrupt_state",
    "strands.agent.agent:Agent.__init__._intervention_registry",
    "strands.agent._concurrency:_ConcurrencyController.__init__._invocation_lock",
    "strands.agent._concurrency:_ConcurrencyController.try_acquire_lock",
    "strands.agent._concurrency:_ConcurrencyController.release_lock",
    "strands.bidi.agent:BidiAgent.__init__.session_manager",
    "strands.bidi.agent:BidiAgent.__init__._started",
    "strands.hooks.events:MessageUpdatedEvent",
    "strands.hooks.events:BeforeToolCallEvent._interrupt_id",
    "strands.hooks.registry:HookOrder",
    "strands.hooks.registry:HookRegistry.__init__._registered_callbacks",
    "strands.tools.decorator:DecoratedFunctionTool.__init__._tool_func",
)
"""``module:name``. Behind a function's name stands a name that its code uses."""


def missing(needed: Iterable[str] = NEEDED) -> list[str]:
    """Return the names that the installed release of Strands lacks."""
    return [name for name in needed if not _is_there(name)]


def _is_there(name: str) -> bool:
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            if isinstance(found, FunctionType):
                return part in (*found.__code__.co_names, *found.__code__.co_varnames)
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return False
    return True


def check() -> None:
    """Refuse a release of Strands that lacks a name.

    Raises:
        ImportError: It does, or Strands is not installed.
    """
    if not (lacking := missing()):
        return
    if importlib.util.find_spec("strands") is None:
        raise ImportError(f"segue's session managers need Strands: pip install '{RANGE}'")
    try:
        version = importlib.metadata.version("strands-agents")
    except importlib.metadata.PackageNotFoundError:
        version = "of unknown version"
    raise ImportError(f"strands-agents {version} lacks {', '.join(lacking)}: pip install '{RANGE}', or a newer segue")


check()

from strands.types._snapshot import SNAPSHOT_SCHEMA_VERSION, Snapshot  # noqa: E402 - after the check, which names it


class Invocations:
    """The turns of an ``Agent``, of which Strands runs one at a time."""

    def __init__(self, controller: Any) -> None:
        """Wrap Strands' own."""
        self._controller = controller

    def try_acquire(self) -> bool:
        """Keep turns from beginning; False if one runs."""
        return bool(self._controller.try_acquire_lock())

    def release(self) -> None:
        """Let turns begin again."""
        self._controller.release_lock()

    @property
    def running(self) -> bool:
        """True while a turn runs, or is kept from beginning."""
        return bool(self._controller._invocation_lock.locked())  # noqa: SLF001 - nothing else says so


def invocations_of(agent: Agent) -> Invocations:
    """Return an agent's turns."""
    return Invocations(agent._concurrency)  # noqa: SLF001 - there is no public name for "a turn runs"


def is_started(agent: Any) -> bool:
    """Tell whether a ``BidiAgent`` is started; False for agents of other kinds."""
    return bool(getattr(agent, "_started", False))


def see_that_no_task_is_tracked(agent: Agent) -> None:
    """Make the checks of ``load_snapshot`` before anything is changed.

    Raises:
        RuntimeError: A tool runs in the background.
    """
    if (tasks := agent._background_tasks) is not None:  # noqa: SLF001 - no public name
        tasks.assert_can_load_snapshot()


def callbacks_of(agent: LocalAgent, kind: type) -> Iterator[Any]:
    """Yield the callbacks that an agent has for one kind of event."""
    for entry in agent.hooks._registered_callbacks.get(kind, ()):  # noqa: SLF001 - an event is needed otherwise
        yield entry.callback


def interventions_of(agent: Agent) -> Iterable[Any]:
    """Return an agent's intervention handlers."""
    handlers: Iterable[Any] = agent._intervention_registry.handlers  # noqa: SLF001 - no public name
    return handlers


def function_of(tool: Any) -> Any:
    """Return the function that ``@tool`` decorated; None for tools of other kinds."""
    return getattr(tool, "_tool_func", None)


def state_version(state: Any) -> object | None:
    """Return how often an agent's state was changed; None if this release of Strands does not count."""
    version = getattr(state, "_get_version", None)
    return None if version is None else version()


def stash_of(agent: LocalAgent) -> Stash | None:
    """Return the agent's stash, if it has one that is in this process's memory only."""
    context_manager = getattr(agent, "context_manager", None)
    if context_manager is None or context_manager.stash is None or context_manager.stash_is_durable:
        return None
    stash: Stash = context_manager.stash
    return stash


def waits_for_answer(event: BeforeToolCallEvent) -> bool:
    """Tell whether a hook of a tool call has asked a person, so that the tool does not run now."""
    asked = getattr(event.agent, "_interrupt_state", None)
    unanswered = [] if asked is None else [each for each in asked.interrupts.values() if each.response is None]
    return any(event._interrupt_id(each.name) == each.id for each in unanswered)  # noqa: SLF001 - no public name


def resume_own_message(agent: Agent) -> None:
    """Let a restored pause name the message that the agent has, as it did when it began, and not a copy of it.

    A redaction or an edit of that message then reaches both.
    """
    pending = agent._interrupt_state.pending_tool_execution  # noqa: SLF001 - no public name
    tracking_id = None if pending is None else pending.assistant_message.get("tracking_id")
    own = [message for message in agent.messages if tracking_id and message.get("tracking_id") == tracking_id]
    if pending is not None and own:
        pending.assistant_message = own[-1]
