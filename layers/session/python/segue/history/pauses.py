"""Deliberate pauses of an ``Agent``: Strands stopped on purpose, and goes on when it is told to.

    interrupt     a hook, a tool, an agent used as a tool or an intervention asks a person. Strands keeps in
                  ``interrupt_state`` which message's tools wait, and the results of those that do not
    checkpoint    ``Agent(checkpointing=True)`` stops between the model and its tools. Strands keeps nothing of it

Both leave tool uses without results at the end of the history, as a crash does. An ``internal`` record says which it
was: what Strands keeps is as above, and ``pause`` is what it does not keep.

    {"checkpoint": [<tool use id>, …]}    uses that wait until a checkpoint is resumed
    {"running": [<tool use id>, …]}       uses that began to run after their interrupt was answered

A use that was running when its process died may have run, so it is not run again. Once the history has gone on,
nothing is resumed any more: a result would not stand beside its use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from segue.history.agent_history import AgentHistory
from segue.history.repair import RepairReport, interrupted, repair, results_of, uses_of, without_blanks
from segue.journal.message_shape import Message

PAUSE = "pause"
"""The key of an ``internal`` record that is Segue's. Strands ignores it, and so do earlier versions of Segue."""

WAITING = "The tool call waits until it is approved or the agent is resumed. It has no result yet."
"""Result of a tool for an agent that cannot resume it: a voice agent that goes on with the session."""

_NO_INTERRUPTS: dict[str, Any] = {"interrupts": {}, "context": {}, "activated": False}


@dataclass(frozen=True, slots=True)
class FitHistory:
    """An agent's history, fit to be restored.

    Attributes:
        messages: Its messages. They end with open tool uses if the agent was stopped on purpose.
        internal: What Strands keeps of an ``Agent`` besides, and its ``pause``.
        report: What was repaired, and what was left open.
    """

    messages: list[Message]
    internal: dict[str, Any]
    report: RepairReport


@dataclass(frozen=True, slots=True)
class _Pause:
    """The point at which an agent was stopped on purpose.

    Attributes:
        at: Index of the message with its open tool uses.
        waiting: Uses that may still be resumed.
        cut_off: Uses that were running when their process died.
        done: Result blocks of the uses that have ended, by tool use id.
        resumable: Whether the history has not gone on since, and a use is left to resume.
    """

    at: int
    waiting: Sequence[str]
    cut_off: Sequence[str] = ()
    done: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    resumable: bool = True


def fit_to_use(stored: AgentHistory, *, can_resume: bool) -> FitHistory:
    """Return a history that every provider accepts, or that an ``Agent`` resumes. The input is left alone.

    Args:
        stored: An agent, as its records leave it.
        can_resume: Whether the one that gets it can resume a tool. A ``BidiAgent`` cannot.
    """
    pause = _pause_of(stored)
    if pause is None:
        return FitHistory(*_repaired(stored.messages, without_pause(stored.internal)))
    if not pause.resumable:
        internal = without_pause(stored.internal)
        if _pending(stored.internal) is not None:
            internal["interrupt_state"] = _NO_INTERRUPTS
        return FitHistory(*_repaired(_closed(stored.messages, pause.at, pause.done), internal))
    if not can_resume:
        told = dict(pause.done) | {use: interrupted(use, WAITING) for use in pause.waiting}
        return FitHistory(*_repaired(_closed(stored.messages, pause.at, told), stored.internal))
    messages, report = repair(stored.messages, paused=uses_of(stored.messages[pause.at]))
    internal = _with_results(stored.internal, pause.cut_off)
    cut_off = (*report.interrupted, *pause.cut_off)
    return FitHistory(messages, internal, replace(report, interrupted=cut_off, paused=tuple(pause.waiting)))


def _repaired(
    messages: Sequence[Message], internal: dict[str, Any]
) -> tuple[list[Message], dict[str, Any], RepairReport]:
    fixed, report = repair(messages)
    return fixed, internal, report


def _pause_of(stored: AgentHistory) -> _Pause | None:
    """Find where an agent was stopped on purpose, None if it was not."""
    whole = [index for index, message in enumerate(stored.messages) if without_blanks(message)["content"]]
    last = whole[-1] if whole else -1
    noted = stored.internal.get(PAUSE) or {}
    pending = _pending(stored.internal)
    if pending is None:
        uses = uses_of(stored.messages[last]) if whole else []
        waits = bool(uses) and set(uses) <= set(noted.get("checkpoint", ()))
        return _Pause(last, uses) if waits else None
    at = _index_of(stored.messages, pending["assistant_message"])
    if at is None:
        return _Pause(last, (), resumable=False)
    done = {result["toolUseId"]: {"toolResult": result} for result in pending["completed_tool_results"]}
    undone = [use for use in uses_of(stored.messages[at]) if use not in done]
    cut_off = [use for use in undone if use in noted.get("running", ())]
    waiting = [use for use in undone if use not in cut_off]
    return _Pause(at, waiting, cut_off, done, resumable=at == last and bool(waiting or not cut_off))


def _pending(internal: Mapping[str, Any]) -> dict[str, Any] | None:
    """The tools that an interrupt has stopped; also as Strands wrote it before it had a place of its own."""
    state = internal.get("interrupt_state") or {}
    if not state.get("activated"):
        return None
    context = state.get("context") or {}
    if (pending := state.get("pending_tool_execution")) is not None:
        return dict(pending)
    if (message := context.get("tool_use_message")) is not None:
        return {"assistant_message": message, "completed_tool_results": context.get("tool_results", [])}
    return None


def _index_of(messages: Sequence[Message], stopped: Message) -> int | None:
    """Find the message whose tools were stopped, newest first."""
    tracking_id, uses = stopped.get("tracking_id"), uses_of(stopped)
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        same = message.get("tracking_id") == tracking_id if tracking_id else uses_of(message) == uses
        if same:
            return index
    return None


def _closed(messages: Sequence[Message], at: int, known: Mapping[str, dict[str, Any]]) -> Sequence[Message]:
    """Put the results that are known behind their uses, unless results follow there."""
    content = [known[use] for use in uses_of(messages[at]) if use in known] if at >= 0 else []
    following = messages[at + 1] if at + 1 < len(messages) else None
    if not content or (following is not None and results_of(following)):
        return messages
    return [*messages[: at + 1], {"role": "user", "content": content}, *messages[at + 1 :]]


def _with_results(internal: dict[str, Any], cut_off: Sequence[str]) -> dict[str, Any]:
    """Give tools that were cut off their result where Strands keeps those of a message that is not finished."""
    pending = _pending(internal)
    if not cut_off or pending is None:
        return internal
    results = [*pending["completed_tool_results"], *(interrupted(use)["toolResult"] for use in cut_off)]
    state = {**internal["interrupt_state"], "pending_tool_execution": {**pending, "completed_tool_results": results}}
    return {**without_pause(internal), "interrupt_state": state}


def without_pause(internal: Mapping[str, Any]) -> dict[str, Any]:
    """Return an ``internal`` record's data without Segue's own part."""
    return {name: value for name, value in internal.items() if name != PAUSE}


class PauseNote:
    """An agent's ``pause``, as its turns go on."""

    def __init__(self, internal: Mapping[str, Any]) -> None:
        """Begin with what was recorded."""
        noted = internal.get(PAUSE) or {}
        self._checkpoint: list[str] = list(noted.get("checkpoint", ()))
        self._running: list[str] = list(noted.get("running", ()))

    def stopped(self, reason: str | None, messages: Sequence[Any]) -> None:
        """Note how a turn ended: for what reason, None if it was cut off, and with which history."""
        if reason == "interrupt":
            self._running = []
        self._checkpoint = uses_of(messages[-1]) if reason == "checkpoint" and messages else []

    def started(self, use: str, internal: Mapping[str, Any]) -> bool:
        """Note that a tool runs; False if it was not paused, so that there is nothing to note."""
        pending = _pending(internal)
        if pending is not None and use in uses_of(pending["assistant_message"]) and use not in self._running:
            self._running.append(use)
            return True
        was_paused = use in self._checkpoint
        self._checkpoint = [other for other in self._checkpoint if other != use]
        return was_paused

    def within(self, internal: dict[str, Any]) -> dict[str, Any]:
        """Return what is recorded: what Strands keeps, and the pause."""
        if _pending(internal) is None:
            self._running = []
        pause = {"checkpoint": self._checkpoint, "running": self._running}
        noted = {name: list(uses) for name, uses in pause.items() if uses}
        return {**internal, PAUSE: noted} if noted else internal
