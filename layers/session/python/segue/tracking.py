"""What of an agent is recorded already, and the records for what is not."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec
from strands.agent.agent import Agent
from strands.agent.agent_result import AgentResult
from strands.types._snapshot import SNAPSHOT_SCHEMA_VERSION, Snapshot
from strands.types.agent import LocalAgent

from segue.asking import Approvals
from segue.built import BuiltWith, accepted_by, held_still, internal_of
from segue.encoder import json_bytes, without_refused
from segue.errors import RecordTooLarge, ValueRefused
from segue.held import HeldMessages
from segue.history import AgentHistory, Message
from segue.messages import (
    Given,
    copy_of,
    is_cut_speech,
    tracking_id_of,
    without_content,
)
from segue.pauses import FitHistory, PauseNote, resume_own_message
from segue.records import Record, encode_record
from segue.redaction import replaced
from segue.refused_values import Refused, raise_refused
from segue.weak import WeakAgent

Append = Callable[..., int]
_MESSAGES = frozenset({"message", "update", "redact"})

_WHOLE = frozenset({"state", "internal"})
"""Kinds of which half a record would be none."""

_Inputs = tuple[str, tuple[int, ...]] | None


class AgentRecorder:
    """Turns one agent's changes into records.

    Attributes:
        numbers: For each recorded message's tracking id, the record that last determined it.
        approvals: What people are asked for the agent.
    """

    def __init__(
        self,
        agent: LocalAgent,
        stored: AgentHistory | None,
        append: Append,
        refused: Refused = raise_refused,
        built_with: BuiltWith | None = None,
    ) -> None:
        """Begin with what the session has of the agent.

        Args:
            agent: The agent.
            stored: Its history in the session, None if it is new there.
            append: Queues records and returns the position after them.
            refused: Told of values that were not recorded as they are; default: they are raised.
            built_with: The agent as it was built; default: as it is.
        """
        self.agent_id = agent.agent_id
        self._weak = WeakAgent(agent)
        self._state = agent.state
        self.numbers: dict[str, int] = dict(stored.numbers) if stored else {}
        self.approvals = Approvals(self._weak, stored.approvals if stored else (), self._record_with_internal)
        self._append = append
        self._refuse = refused
        self._connection: dict[str, Any] = dict(stored.connection) if stored else {}
        self._live: list[str] = []
        self._built_with = built_with or BuiltWith.now(agent)
        self._turns = 0
        self._held = HeldMessages(self._weak)
        self._copies: dict[str, Any] = {}
        self._refused: set[str] = set()
        self._odd: set[str] = set()
        self._state_seen: object = None
        self._prompt_seen: bytes = b"null"
        self._internal_seen: bytes = b"{}"
        self._pause = PauseNote(stored.internal if stored else {})
        self._tool_starts: dict[str, float] = {}

    @property
    def agent(self) -> LocalAgent:
        """The agent, which is not kept alive.

        Raises:
            RuntimeError: It is gone.
        """
        return self._weak.agent

    @property
    def gone(self) -> bool:
        """Whether the agent has been freed."""
        return self._weak.gone

    def meet(self, agent: LocalAgent) -> None:
        """Serve an agent whose hook is running."""
        self._weak.meet(agent)

    @property
    def built_with(self) -> BuiltWith:
        """The agent as it was built."""
        return self._built_with

    def turn_began(self) -> None:
        """Note that a turn of an ``Agent`` begins."""
        self._turns += 1

    def held_still(self) -> AbstractContextManager[None]:
        """See that nothing runs in the agent, and keep turns from beginning. See ``segue.built.held_still``."""
        return held_still(self.agent, in_turn=self._turns > 0)

    def introduce(self) -> None:
        """Record a new agent: that it exists, and what it already brings; all of it or nothing."""
        with self._collected() as records:
            self._record("agent", {"class": type(self.agent).__name__, "name": self.agent.name})
            for message in self.agent.messages:
                if message["content"]:
                    self.message(message, None)  # type: ignore[arg-type]  # a TypedDict is the dictionary it describes
            self.state()
            self.connection()
        first = self._append(*records) - len(records)
        self.numbers = {tracking_id: first + number for tracking_id, number in self.numbers.items()}

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

    def restore(
        self, fit: FitHistory, stored: AgentHistory, *, with_prompt: bool, from_scratch: bool = False
    ) -> list[Record]:
        """Put what the session has into the agent, through its own snapshot schema.

        Args:
            fit: What the session has, fit to use.
            stored: The same as it was recorded.
            with_prompt: Whether the system prompt is restored, too.
            from_scratch: Whether what the session has not is as it was when the agent was built. Otherwise it is left
                as it is.

        Returns:
            The records of what is not as it was recorded. They are to be queued once all agents are restored.
        """
        messages = fit.messages
        if isinstance(self.agent, Agent):  # which changes parts of them in place
            messages = [copy_of(message) for message in messages]
        data: dict[str, Any] = {"messages": Given(messages), "state": stored.state}
        if with_prompt and (stored.system_prompt is not None or from_scratch):
            data["system_prompt"] = self._built_with.prompt if stored.system_prompt is None else stored.system_prompt
        if isinstance(self.agent, Agent):
            data |= (self._built_with.internal if from_scratch else {}) | fit.internal
            if (manager_state := data.get("conversation_manager_state")) is not None:
                data["conversation_manager_state"] = accepted_by(self.agent.conversation_manager, manager_state)
        snapshot = Snapshot(scope="agent", schema_version=SNAPSHOT_SCHEMA_VERSION, data=data, app_data={})
        self.agent.load_snapshot(snapshot)
        # Repairs and limits are not recorded: what was restored is what later changes are measured against.
        self._live = self._held.ids(self._refused)
        if isinstance(self.agent, Agent):
            resume_own_message(self.agent)
            self._pause = PauseNote(fit.internal)
            self._copies = {tracking_id_of(message): copy_of(message) for message in self.agent.messages}
        self._state = self.agent.state
        self._state_seen = self._state_version()
        self._prompt_seen = json_bytes(stored.system_prompt)
        self._internal_seen = json_bytes(fit.internal)
        asked(self.agent.model, "load_connection", stored.connection)
        with self._collected() as records:
            self.state()
            self.connection()
        return records

    def snapshot(self) -> Snapshot:
        """Return all that the agent has."""
        return self.agent.take_snapshot(preset="session", include=["system_prompt"])

    def put_back(self, snapshot: Snapshot) -> None:
        """Give the agent back what it had before a change of its history that did not come about."""
        self.agent.load_snapshot(snapshot)
        asked(self.agent.model, "load_connection", self._connection)

    def message(self, message: Message, inputs: _Inputs) -> None:
        """Record an added message. A streamed one that has only begun is recorded when it is complete."""
        if not message["content"]:
            return
        tracking_id = tracking_id_of(message)
        if tracking_id not in self.numbers or self._times_held(tracking_id) > self._live.count(tracking_id):
            self._put(message, inputs, before=None)
        else:  # new input that Strands merged into the last message comes as an addition of the same message
            self.update(message, inputs)

    def update(self, message: Message, inputs: _Inputs) -> None:
        """Record that a message was completed or replaced."""
        tracking_id = tracking_id_of(message)
        if tracking_id in self.numbers:
            self._odd.discard(tracking_id)
            self.numbers[tracking_id] = self._record("update", {"message": message}, inputs)
            self._keep_copy(message)
        elif is_cut_speech(message):
            self._refused.add(tracking_id)  # its audio is sent again, and becomes a whole transcript
        elif message["content"]:
            self._put(message, inputs, before=self._next_recorded(tracking_id))

    def redaction(self, message: Message) -> None:
        """Record that a message's content is to be gone."""
        tracking_id = tracking_id_of(message)
        if tracking_id in self.numbers:
            self._odd.discard(tracking_id)
            self.numbers[tracking_id] = self._record("redact", {"message": message})
            self._keep_copy(message)
            self._redact_summary(message)
            self.approvals.redact(tracking_id)
            if hasattr(self.agent.model, "forget_connection"):
                asked(self.agent.model, "forget_connection")  # the provider's copy still has the old content
                self.connection()

    def _redact_summary(self, message: Message) -> None:
        """Take a message's content out of what the conversation manager keeps: it has a summary twice."""
        if not isinstance(self.agent, Agent):
            return
        kept = self.agent.conversation_manager.get_state()
        without = replaced(kept, {tracking_id_of(message): message})
        if without != kept:
            self.agent.conversation_manager.restore_from_session(without)

    def redact(self, tracking_id: str, replacement: str) -> None:
        """Replace a message's content in the agent, and record that the old content is to be gone.

        Tool blocks keep their ids, so that uses and results stay paired.

        Raises:
            KeyError: The session has no such message.
        """
        if tracking_id not in self.numbers:
            raise KeyError(f"no message {tracking_id!r} in the session")
        held = [message for message in self.agent.messages if message.get("tracking_id") == tracking_id]
        for message in held:
            message["content"] = [without_content(block, replacement) for block in message["content"]]
            self.redaction(message)  # type: ignore[arg-type]  # a TypedDict is the dictionary it describes
        if not held:  # not in the agent any more, but in the records
            content = [{"text": replacement}]
            self.redaction({"role": "user", "content": content, "tracking_id": tracking_id})

    def reconcile(self) -> None:
        """Record what was done to the history without an event: messages taken out, put in, or changed in place.

        Conversation managers do this to an ``Agent``, so all its messages are compared; user hooks do it to a
        message that was just added, so the messages of the latest turn are compared for every kind of agent.
        """
        ids = self._held.ids(self._refused)
        if ids != self._live:
            live = set(self._live)
            messages: list[Message] = self.agent.messages  # type: ignore[assignment]
            for message in messages:
                tracking_id = tracking_id_of(message)
                known = tracking_id in self.numbers and tracking_id in live  # else it is new, or comes back
                if message["content"] and not known and tracking_id not in self._refused:
                    self._put(message, None, before=None)
                    live.add(tracking_id)
            self._live = ids
            self._record("window", {"keep": ids})
        compared = self._compared()
        for tracking_id, message in compared.items():
            if message != self._copies[tracking_id]:
                self.update(message, None)
        keep = compared if isinstance(self.agent, Agent) else ()
        self._copies = {known: copy for known, copy in self._copies.items() if known in keep}

    def _compared(self) -> dict[str, Message]:
        """The messages that there are copies of, in order; found from the end, where those of the latest turn are."""
        wanted = set(self._copies)
        found: dict[str, Message] = {}
        for message in reversed(self.agent.messages):
            if not wanted:
                break
            if (tracking_id := message.get("tracking_id", "")) in wanted and message["content"]:
                wanted.remove(tracking_id)
                found[tracking_id] = message
        return dict(reversed(found.items()))

    def state(self) -> None:
        """Record the agent's state, system prompt and inner state, where they changed.

        What was refused as too large counts as changed until it is smaller: nobody shall take it for saved.
        """
        if not self.gone:
            self._state = self.agent.state
        version = self._state_version()
        if version != self._state_seen:
            try:
                self._record("state", self._state.get())
            except RecursionError:  # Strands copies it deeply, with two frames a level
                self._tell(ValueRefused("state", "nested too deeply to be copied here"))
            self._state_seen = version
        if self.gone:
            return  # what else it had went with it
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

    def _record_with_internal(
        self, kind: str, data: Any, inputs: _Inputs, message: Message | None = None
    ) -> tuple[int, int]:
        """Record something in one append with the agent's inner state, and maybe with a message that is added to it.

        Returns:
            Its number and when it was made.
        """
        record = self._made(kind, data, inputs)
        before = self._changed_internal()
        if message is not None:
            before.insert(0, self._made("message", {"message": message}))
        position = self._append_all(*before, record)
        if message is not None:
            self._added(message, position - 1 - len(before))
        return position - 1, record.at

    def _added(self, message: Message, number: int) -> None:
        """Add a message to the agent's that is recorded already."""
        tracking_id = tracking_id_of(message)
        self.agent.messages.append(message)  # type: ignore[arg-type]  # a TypedDict is the dictionary it describes
        self.numbers[tracking_id] = number
        self._live.append(tracking_id)
        self._keep_copy(message)

    def turn_ended(self, result: AgentResult | None) -> None:
        """Note that a turn of an ``Agent`` has ended, and how; None if it was cut off."""
        self._turns = max(0, self._turns - 1)
        self._pause.stopped(None if result is None else result.stop_reason, self.agent.messages)

    def stash(self, changes: dict[str, Any]) -> None:
        """Record what a context manager keeps besides the messages."""
        self._record("stash", changes)

    def tool_started(self, tool_use: Any) -> None:
        """Record that a tool is about to run."""
        if isinstance(self.agent, Agent) and self._pause.started(tool_use["toolUseId"], internal_of(self.agent)):
            self.state()
        self._tool_starts[tool_use["toolUseId"]] = time.monotonic()
        self._record("tool", {"tool_use_id": tool_use["toolUseId"], "name": tool_use["name"], "phase": "started"})

    def tool_ended(self, tool_use: Any, result: Any) -> None:
        """Record how a tool ended and how long it took."""
        started = self._tool_starts.pop(tool_use["toolUseId"], None)
        data = {"tool_use_id": tool_use["toolUseId"], "name": tool_use["name"], "phase": "ended"}
        status = result.get("status", "success") if isinstance(result, dict) else "error"
        ms = 0 if started is None else round((time.monotonic() - started) * 1000)
        self._record("tool", {**data, "status": status, "ms": ms})

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

    def _put(self, message: Message, inputs: _Inputs, before: str | None) -> None:
        tracking_id = tracking_id_of(message)
        data: dict[str, Any] = {"message": message}
        if before is not None:
            data["before"] = before
        try:
            self.numbers[tracking_id] = self._record("message", data, inputs)
        except RecordTooLarge:
            self._refused.add(tracking_id)  # the session goes on without it
            raise
        self._refused.discard(tracking_id)
        self._live.insert(self._place(before), tracking_id)
        self._keep_copy(message)

    def _place(self, before: str | None) -> int:
        """Where a message belongs among the live ones: before another, which is sought from the end, or at the end."""
        end = len(self._live)
        if before is None:
            return end
        return next((index for index in range(end - 1, -1, -1) if self._live[index] == before), end)

    def _times_held(self, tracking_id: str) -> int:
        return sum(message.get("tracking_id") == tracking_id for message in self.agent.messages)

    def _next_recorded(self, tracking_id: str) -> str | None:
        """Find the recorded message that comes after one that is recorded only now."""
        following: str | None = None
        for message in reversed(self.agent.messages):
            known = message.get("tracking_id")
            if known == tracking_id:
                return following
            if known in self.numbers:
                following = known
        return None

    def _record(self, kind: str, data: Any, inputs: _Inputs = None) -> int:
        """Record a change and return its number.

        What is refused of it is replaced by a text that says so. Of a state, the one that was recorded last stands.
        """
        return self._append_all(self._made(kind, data, inputs)) - 1

    def _made(self, kind: str, data: Any, inputs: _Inputs = None) -> Record:
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
        """What is not refused of records."""
        self._odd |= {tracking_id_of(one.data["message"]) for one in records if one.kind in _MESSAGES}
        return [
            msgspec.structs.replace(one, data=without_refused(one.data, one.kind))
            for one in records
            if one.kind not in _WHOLE
        ]

    def _tell(self, refused: ValueRefused) -> None:
        talking = not self.gone and bool(getattr(self.agent, "_started", False))
        self._refuse(self.agent_id, refused, remember=not talking)  # an error in a hook would end the conversation

    def _keep_copy(self, message: Message) -> None:
        """Remember a message as it was recorded, to see later whether it was changed in place.

        What was refused in part is not compared: it may have parts that cannot be copied, or compared.
        """
        tracking_id = tracking_id_of(message)
        if tracking_id in self._odd:
            self._copies.pop(tracking_id, None)
        else:
            self._copies[tracking_id] = copy_of(message)

    def _state_version(self) -> object:
        state = self._state
        # Strands counts changes; should it stop doing so, comparing the content does as well, only slower.
        version = getattr(state, "_get_version", None)
        return (id(state), version()) if version is not None else json_bytes(state.get())


def asked(model: Any, name: str, *arguments: Any) -> Any:
    """Call a method of a model if it has it; None if it has not, or would have to be awaited: it is a stand-in then."""
    method = getattr(model, name, None)
    answer = method(*arguments) if callable(method) else None
    if inspect.iscoroutine(answer):
        answer.close()
    return None if inspect.isawaitable(answer) else answer


def rewind_record(records: int) -> Record:
    """Record that everything is again as it was after so many records."""
    return Record(kind="rewind", data={"to": records}, at=int(time.time() * 1000))
