"""One agent's recorded state, and the records for its changes since."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ParamSpec, Self, TypeVar

import msgspec
from strands.agent.agent import Agent
from strands.agent.agent_result import AgentResult
from strands.types.agent import LocalAgent

from segue.errors import ValueRefused
from segue.history.fold import AgentHistory, Message
from segue.history.messages import OwnMessages, copy_of
from segue.history.pauses import FitHistory, PauseNote
from segue.history.repair import is_dispatch, results_of
from segue.history.tool_uses import ToolUse, ToolUses
from segue.journal.encoder import json_bytes, without_refused
from segue.journal.message_shape import replaced
from segue.journal.records import Record, encode_record
from segue.session.refused_values import OnRefused, raise_refused
from segue.session.weak_references import WeakAgent, weakly
from segue.strands.approvals import Approvals
from segue.strands.built_agent import AgentAsBuilt, accepted_by, held_still, internal_of
from segue.strands.private import (
    SNAPSHOT_SCHEMA_VERSION,
    Snapshot,
    invocations_of,
    is_started,
    resume_own_message,
    state_version,
)
from segue.strands.recording.held_messages import RECENT, HeldMessages, Inputs
from segue.strands.recording.stash import StashRecorder

Append = Callable[..., int]

P = ParamSpec("P")
T = TypeVar("T")
_MESSAGES = frozenset({"message", "update", "redact"})

_BEGINNING = 8
"""Turns of the loop in which a tool gets from its request to the hook before it. Strands 1.62 needs two."""

_WHOLE = frozenset({"state", "internal"})
"""Kinds whose records are refused as a whole: a record with a part of the data would be useless."""


def _locked(method: Callable[P, T]) -> Callable[P, T]:
    """Let one thread at a time into a recorder."""

    @functools.wraps(method)
    def holding(*args: P.args, **kwargs: P.kwargs) -> T:
        recorder: Any = args[0]
        with recorder._lock:  # noqa: SLF001 - of its own class
            return method(*args, **kwargs)

    return holding


class AgentRecorder:
    """Turns one agent's changes into records. Any thread may use it: the agent's, or one that flushes.

    Attributes:
        agent_id: The agent's id.
        approvals: The approvals of the agent.
    """

    def __init__(
        self,
        agent: LocalAgent,
        stored: AgentHistory | None,
        append: Append,
        refused: OnRefused = raise_refused,
        as_built: AgentAsBuilt | None = None,
    ) -> None:
        """Begin with the session's history of the agent.

        Args:
            agent: The agent.
            stored: Its history in the session, None if it is new there.
            append: Queues records and returns the position after them.
            refused: Told of values that were not recorded as they are; default: they are raised.
            as_built: The agent as it was built; default: as it is.
        """
        self.agent_id = agent.agent_id
        self._weak = WeakAgent(agent)
        self._state = agent.state
        self.approvals = Approvals(self._weak, stored.approvals if stored else (), self._record_with_internal)
        self._append = append
        self._refuse = refused
        self._connection: dict[str, Any] = dict(stored.connection) if stored else {}
        self._as_built = as_built or AgentAsBuilt.now(agent)
        self._turns = 0
        self._held = HeldMessages(self._weak, stored, weakly(self._record, 0), weakly(self._tell, None))
        self._state_seen: tuple[object, object] = None, None
        self._prompt_seen: bytes = b"null"
        self._internal_seen: bytes = b"{}"
        self._pause = PauseNote(stored.internal if stored else {})
        self._stash = StashRecorder(stored)
        self._uses = ToolUses(stored.uses if stored else {}, stored.messages if stored else ())
        self._tool_starts: dict[str, float] = {}
        self._asked_for: set[str] = set()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None

    @property
    def numbers(self) -> dict[str, int]:
        """For each recorded message's tracking id, the record that last determined it."""
        return self._held.numbers

    @property
    def authors(self) -> dict[str, tuple[str, int]]:
        """For the tracking id of what a client said, the client's id and the number of its last input."""
        return self._held.authors

    def alone(self) -> AbstractContextManager[object]:
        """Keep all other threads out."""
        return self._lock

    def follow(self) -> Self:
        """Note the thread of the agent: a hook of it runs here."""
        self._thread = threading.current_thread()
        return self

    @property
    def agent(self) -> LocalAgent:
        """The agent, which is not kept alive.

        Raises:
            RuntimeError: It is gone.
        """
        return self._weak.agent

    @property
    def gone(self) -> bool:
        """Tell whether the agent has been freed."""
        return self._weak.gone

    def meet(self, agent: LocalAgent) -> None:
        """Serve an agent whose hook is running."""
        self._weak.meet(agent)

    @property
    def as_built(self) -> AgentAsBuilt:
        """The agent as it was built."""
        return self._as_built

    def turn_began(self) -> None:
        """Note that a turn of an ``Agent`` begins."""
        self._turns += 1

    def held_still(self) -> AbstractContextManager[None]:
        """Check that nothing runs in the agent, and keep turns from beginning. See ``built_agent.held_still``."""
        return held_still(self.agent, in_turn=self._turns > 0)

    @_locked
    def introduce(self) -> None:
        """Record a new agent: its class and name, and the state that it was built with; all of it or nothing."""
        with self._collected() as records:
            self._record("agent", {"class": type(self.agent).__name__, "name": self.agent.name})
            self._held.introduce()
            self.state()
            self.connection()
        self._held.count_from(self._append(*records) - len(records))

    def take_part(self) -> None:
        """Hear of a connection's new state from models that tell; see ``worker.providers``."""
        asked(self.agent.model, "watch_connection", self.connection)

    @contextmanager
    def _collected(self) -> Iterator[list[Record]]:
        """Collect what is recorded instead of queuing it, so that all of it is queued together or nothing."""
        append, records = self._append, list[Record]()

        def keep(*more: Record) -> int:
            for record in more:
                encode_record(record)  # what cannot be encoded is seen here
            records.extend(more)
            return len(records)  # counted from the first of them

        self._append = keep
        try:
            yield records
        finally:
            self._append = append

    @_locked
    def restore(
        self, fit: FitHistory, stored: AgentHistory, *, with_prompt: bool, from_scratch: bool = False
    ) -> list[Record]:
        """Restore the agent from the session, through its own snapshot schema.

        Args:
            fit: What the session has, fit to use, in dictionaries that the agent may keep.
            stored: The same as it was recorded.
            with_prompt: Whether the system prompt is restored, too.
            from_scratch: Whether what the session has not is as it was when the agent was built. Otherwise it is left
                as it is.

        Returns:
            The records of what is not as it was recorded. They are to be queued once all agents are restored.
        """
        data: dict[str, Any] = {"messages": OwnMessages(fit.messages), "state": stored.state}
        if with_prompt and (stored.system_prompt is not None or from_scratch):
            data["system_prompt"] = self._as_built.prompt if stored.system_prompt is None else stored.system_prompt
        if isinstance(self.agent, Agent):
            data |= (self._as_built.internal if from_scratch else {}) | copy_of(fit.internal)
            if (manager_state := data.get("conversation_manager_state")) is not None:
                data["conversation_manager_state"] = accepted_by(self.agent.conversation_manager, manager_state)
        snapshot = Snapshot(scope="agent", schema_version=SNAPSHOT_SCHEMA_VERSION, data=data, app_data={})
        self.agent.load_snapshot(snapshot)
        self._held.restored(stored.messages)
        if isinstance(self.agent, Agent):
            resume_own_message(self.agent)
            self._pause = PauseNote(fit.internal)
        self._state = self.agent.state
        self._state_seen = self._state_version()
        self._prompt_seen = json_bytes(stored.system_prompt)
        self._internal_seen = json_bytes(fit.internal)
        asked(self.agent.model, "load_connection", copy_of(stored.connection))
        with self._collected() as records:
            self.state()
            self.connection()
        return records

    def snapshot(self) -> Snapshot:
        """Return all that the agent has."""
        return self.agent.take_snapshot(preset="session", include=["system_prompt"])

    def put_back(self, snapshot: Snapshot) -> None:
        """Restore the agent to its state before a change of its history that failed."""
        self.agent.load_snapshot(snapshot)
        asked(self.agent.model, "load_connection", copy_of(self._connection))

    @_locked
    def message(self, message: Message, inputs: Inputs) -> None:
        """Record an added message. A streamed one that has only begun is recorded when it is complete."""
        if is_dispatch(message):
            self._asked_for.update(results_of(message))
        self._held.added(message, inputs)

    @_locked
    def update(self, message: Message, inputs: Inputs) -> None:
        """Record that a message was completed or replaced."""
        self._held.updated(message, inputs)

    @_locked
    def append(self, message: Message, inputs: Inputs) -> None:
        """Record a message of the session that the agent may hold already, later or never."""
        self._held.append(message, inputs)

    @_locked
    def redaction(self, message: Message) -> None:
        """Record that a message's content is to be gone, given what stands in its place.

        Raises:
            LookupError: There is no message yet.
        """
        if (redacted := self._held.redact_latest(message)) is not None:
            self._forget(redacted)

    @_locked
    def redact(self, tracking_id: str, replacement: str) -> None:
        """Replace a message's content in the agent, and record that the old content is to be gone.

        Raises:
            KeyError: The session has no such message.
        """
        self._forget(self._held.redact(tracking_id, replacement))

    def _forget(self, message: Message) -> None:
        """Remove a redacted message's content from all state beside the history.

        A conversation manager has a summary twice, a context manager what it took out, a pause names the message whose
        tools wait, and the provider may keep the conversation.
        """
        self.approvals.redact(message["tracking_id"])
        self._stash.redacted(
            self.agent, message if self._held.holds(message["tracking_id"]) else {**message, "content": []}
        )
        if isinstance(self.agent, Agent):
            resume_own_message(self.agent)
            kept = self.agent.conversation_manager.get_state()
            without = replaced(kept, {message["tracking_id"]: message})
            if without != kept:
                self.agent.conversation_manager.restore_from_session(without)
        if hasattr(self.agent.model, "forget_connection"):
            asked(self.agent.model, "forget_connection")
            self.connection()

    def reconcile(self) -> None:
        """Record changes of the history that no event reported: messages put in, taken out, or changed in place."""
        for _ in self._comparing():
            pass

    async def reconcile_in_steps(self) -> None:
        """Record the same in steps, between which the event loop goes on, at any length of the history."""
        for _ in self._comparing():
            await asyncio.sleep(0)

    async def reconcile_turn(self) -> None:
        """The same after a turn. Of a voice agent's messages only the newest are looked into: audio is waiting."""
        if isinstance(self.agent, Agent):
            await self.reconcile_in_steps()
        else:
            for _ in self._comparing(newest=RECENT):
                pass

    def _comparing(self, newest: int | None = None) -> Iterator[None]:
        steps = self._held.comparing(newest)
        while True:
            with self._lock:
                if self._elsewhere() or next(steps, steps) is steps:
                    return
            yield

    def _elsewhere(self) -> bool:
        """Tell whether the agent is in a turn on another thread, whose own events report its messages."""
        thread = self._thread
        if self.gone or thread is None or thread is threading.current_thread() or not thread.is_alive():
            return False
        if isinstance(self.agent, Agent):
            return invocations_of(self.agent).running
        return is_started(self.agent)

    @_locked
    def state(self) -> None:
        """Record the agent's state, system prompt and inner state, where they changed.

        A state that was refused as too large counts as changed until it is smaller: it is not saved.
        """
        if not self.gone:
            self._state = self.agent.state
        state, version = seen = self._state_version()
        if state is not self._state_seen[0] or version != self._state_seen[1]:
            try:
                self._record("state", self._state.get())
            except RecursionError:  # Strands copies it deeply, with two frames a level
                self._tell(ValueRefused("state", "nested too deeply to be copied here"))
            self._state_seen = seen
        if self.gone or self._elsewhere():
            return  # what else it had went with it, or is told of by its own events
        prompt = self.agent.system_prompt_content
        if (encoded := json_bytes(prompt)) != self._prompt_seen:
            self._record("prompt", prompt)
            self._prompt_seen = encoded
        self._append_all(*self._changed_internal())

    def _changed_internal(self) -> list[Record]:
        """The record of an ``Agent``'s inner state, if that has changed."""
        if not isinstance(self.agent, Agent):
            return []
        internal = self._pause.within(internal_of(self.agent))
        if (encoded := json_bytes(internal)) == self._internal_seen:
            return []
        self._internal_seen = encoded
        return [self._made("internal", internal)]

    @_locked
    def _record_with_internal(
        self, kind: str, data: Any, inputs: Inputs, message: Message | None = None
    ) -> tuple[int, int]:
        """Record something in one append with the agent's inner state, and maybe with a message that is added to it.

        Returns:
            Its number and when it was made.
        """
        record = self._made(kind, data, inputs)
        if message is not None:
            message = self._held.named(message)
        before = self._changed_internal()
        if message is not None:
            before.insert(0, self._made("message", {"message": message}))
        position = self._append_all(*before, record)
        if message is not None:
            self._held.add_recorded(message, position - 1 - len(before))
        return position - 1, record.at

    @_locked
    def turn_ended(self, result: AgentResult | None) -> None:
        """Note that a turn of an ``Agent`` has ended, and how; None if it was cut off."""
        self._turns = max(0, self._turns - 1)
        self._pause.stopped(None if result is None else result.stop_reason, self.agent.messages)

    @_locked
    def stash_added(self, message: Message) -> None:
        """Note a message whose blocks a context manager puts into its stash by itself."""
        self._stash.added(self.agent, message)

    @_locked
    def fill_stash(self, stored: AgentHistory) -> None:
        """Fill a context manager's stash from the session."""
        self._stash.fill(self.agent, stored)

    def keep_stash_of(self, other: AgentRecorder) -> None:
        """Take over the stash's state from an earlier recorder of the agent: a stash is not rewound."""
        self._stash = other._stash

    @_locked
    def record_stash(self) -> None:
        """Record entries of a context manager's stash that no other record has."""
        if not (self.gone or self._elsewhere()):
            changes = self._stash.changes(self.agent, self.numbers)
            if changes is not None:
                self._record("stash", changes)

    async def tools_begin(self) -> None:
        """Let tools begin that a voice agent's response has just asked for: their intents are of this turn.

        Its end then waits for them, too. Told before, it could be followed by ``stop()`` while a tool still waits for
        its intent, and a tool that would have run without a session manager does not.
        """
        for _ in range(_BEGINNING):
            if not self._asked_for:
                return
            await asyncio.sleep(0)
        self._asked_for.clear()  # a hook of the user has called them off, or still thinks

    @_locked
    def tool_started(self, tool_use: Any) -> ToolUse:
        """Record that a tool is about to run, and return the use."""
        if isinstance(self.agent, Agent) and self._pause.started(tool_use["toolUseId"], internal_of(self.agent)):
            self.state()
        self._asked_for.discard(tool_use["toolUseId"])
        use = self._uses.begin(tool_use, self.agent.messages)
        self._tool_starts[use.key] = time.monotonic()
        named = {"tool_use_id": use.tool_use_id, "name": tool_use["name"]}
        self._record("tool", {**named, "phase": "started", **use.facts})
        return use

    @_locked
    def tool_ended(self, tool_use: Any, result: Any) -> ToolUse:
        """Record how a tool ended and how long it took, and return the use."""
        use = self._uses.end(tool_use)
        started = self._tool_starts.pop(use.key, None)
        data = {"tool_use_id": use.tool_use_id, "name": tool_use["name"], "phase": "ended"}
        if use.number > 1:
            data["use"] = use.number
        status = result.get("status", "success") if isinstance(result, dict) else "error"
        ms = 0 if started is None else round((time.monotonic() - started) * 1000)
        self._record("tool", {**data, "status": status, "ms": ms})
        return use

    @_locked
    def connection(self, *, restarted: bool = False) -> None:
        """Record how the agent's model is configured, and how often its connection was restarted."""
        if self.gone:
            return
        model: Any = self.agent.model
        config = asked(model, "get_config")
        connection: dict[str, Any] = {
            "provider": type(model).__name__,
            "model_id": config.get("model_id") if isinstance(config, Mapping) else None,
            "restarts": self._connection.get("restarts", 0) + restarted,
        }
        if isinstance(audio := asked(model, "get_audio_config"), Mapping):
            connection["audio"] = dict(audio)
        if isinstance(state := asked(model, "connection_state", self.agent.messages), Mapping):
            connection |= state
        connection = without_refused(connection, "connection")  # facts for people: a model may be made of anything
        if connection != self._connection:
            self._connection = connection
            self._record("connection", connection)

    def _record(self, kind: str, data: Any, inputs: Inputs = None) -> int:
        """Record a change and return its number.

        What is refused of it is replaced by a text that says so. Of a state, the one that was recorded last stands.
        """
        return self._append_all(self._made(kind, data, inputs)) - 1

    def _made(self, kind: str, data: Any, inputs: Inputs = None) -> Record:
        return Record(kind=kind, data=data, agent=self.agent_id, at=int(time.time() * 1000), inputs=inputs)

    def _append_all(self, *records: Record) -> int:
        """Queue records, to be committed together, and return the position after them: 0 if there are none."""
        if not records:
            return 0
        try:
            return self._append(*records)
        except ValueRefused as refused:
            rest = self._rest_of(records)
            position = self._append(*rest) if rest else 0
            self._tell(refused)
            return position

    def _rest_of(self, records: Sequence[Record]) -> list[Record]:
        """Return the records that are not refused."""
        for one in records:
            if one.kind in _MESSAGES:
                self._held.recorded_in_part(one.data["message"]["tracking_id"])
        return [
            msgspec.structs.replace(one, data=without_refused(one.data, one.kind))
            for one in records
            if one.kind not in _WHOLE
        ]

    def _tell(self, refused: ValueRefused) -> None:
        talking = not self.gone and is_started(self.agent)
        self._refuse(self.agent_id, refused, remember=not talking)  # an error in a hook would end the conversation

    def _state_version(self) -> tuple[object, object]:
        """The state, held so that no other object is taken for it, and how often it was changed."""
        state = self._state
        # Strands counts changes; should it stop doing so, comparing the content does as well, only slower.
        version = state_version(state)
        return state, json_bytes(state.get()) if version is None else version


def asked(model: Any, name: str, *arguments: Any) -> Any:
    """Call a method of a model if it has it; None if it has not, or would have to be awaited: it is a stand-in then."""
    method = getattr(model, name, None)
    answer = method(*arguments) if callable(method) else None
    if inspect.iscoroutine(answer):
        answer.close()
    return None if inspect.isawaitable(answer) else answer


def rewind_record(records: int) -> Record:
    """Return the record that rewinds the session to its first ``records`` records."""
    return Record(kind="rewind", data={"to": records}, at=int(time.time() * 1000))
