"""The output side of a conversation: from the agent's events to each client's queue.

    events ─▶ frames ─┬─ audio, barge_in ─────────▶ audience ─▶ outbox of each client ─▶ POST
                      └─ all else ─▶ gate (order) ─▶

``shared.conversation.agent_frames`` decides how a frame is ordered; ``worker.conversation.output_gate``, what the gate
waits for.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final

import msgspec
from strands.bidi import BidiAgent
from strands.bidi.models import AudioCapable

from segue.lease.item import Known
from segue.wire import frames
from segue.wire.fields import BINARY, DIRECT, HISTORY, PLAYED, SILENCE, shown_holder
from segue.wire.memory import kept_bytes
from shared.conversation.agent_frames import AgentFrames, Ordering, Utterance, retell
from shared.conversation.approvals import approval_frame
from shared.conversation.history_pages import RecordedMessages
from shared.conversation.messages import replaced_record
from shared.conversation.record_positions import Mark, Marks
from worker.conversation.audience import Audience
from worker.conversation.barge_in import PlayedReports, correct, cut_message
from worker.conversation.input.receipts import INPUT_WINDOW
from worker.conversation.output_gate import OutputGate
from worker.conversation.session_manager import Manager
from worker.providers import AnswerCut, ProviderError
from worker.telemetry.tracing import TurnTraces

RETOLD_FRAMES: Final = 1024
"""Frames that a ``ready`` brings again at most; older ones stay away. Fewer than an outbox takes, and far more than a
client misses."""

RETOLD_BYTES: Final = 4 * 1024 * 1024
"""Bytes that they take at most: half of what an outbox does."""

_STORAGE_PAUSE: Final = frames.Pause(active=True, reason="storage")


class Output:
    """Output of one agent. Nothing here waits for a client.

    Attributes:
        gate: Holds back what is not durable.
        audience: The clients.
    """

    def __init__(
        self, manager: Manager, agent: BidiAgent, audience: Audience, traces: TurnTraces | None = None
    ) -> None:
        """Keep the parts.

        Args:
            manager: Knows what is durable.
            agent: Speaks; its history as it is now counts as restored.
            audience: Hears.
            traces: Knows what the frames of an answer carry.
        """
        self.audience = audience
        self.gate = OutputGate(manager, audience.send, self._pause)
        self._manager = manager
        self._agent = agent
        self._history = len(agent.messages)
        self._marks = Marks(manager.record_of, lambda: manager.position)
        self._marks.on_user = self._show_typed
        self._agent_frames = AgentFrames(self._marks)
        self._traces = traces or TurnTraces()
        self._reports = PlayedReports(self._shorten)
        self._paused = False

    def register(self) -> None:
        """Look after the session manager at where messages are recorded."""
        self._marks.register(self._agent.hooks)

    def show(self, event: Any) -> None:
        """Say what an event of the agent amounts to."""
        for utterance in self._agent_frames.frames_of(event):
            self._show_utterance(utterance)

    async def correct(self, cut: AnswerCut) -> None:
        """Record, and tell the clients, what was heard of an answer that a barge-in cut."""
        if (message := cut_message(self._agent, cut)) is None:
            return
        replaces = replaced_record(message)
        if replaces is None:
            replaces = self._manager.record_of(message["tracking_id"])
        await correct(self._agent, message, cut.heard, replaces)
        for utterance in self._agent_frames.corrected(message["tracking_id"], cut.heard, replaces):
            self._show_utterance(utterance)

    def played(self, client_id: str, ack: frames.OutputAck) -> None:
        """Take a client's account of what it has played, which counts after a barge-in."""
        if (unplayed := self.audience.unplayed(client_id, ack)) is not None:
            self._reports.take_report(client_id, unplayed)

    def _shorten(self, unplayed: float) -> None:
        """Have an answer corrected once more; the correction comes as the one before it did."""
        self.audience.forget_sound()
        self._agent.model.shorten(unplayed)  # type: ignore[attr-defined]  # one of worker.providers: its barge-in

    def greet(self, client_id: str, hello: frames.Hello | None = None) -> None:
        """Say ``ready``, and again what the client has not shown.

        Args:
            client_id: Whom to greet.
            hello: What it said; None if it said none.
        """
        last_record = None if hello is None else hello.last_record
        if self._paused:
            self.audience.send(_STORAGE_PAUSE, client_id)  # `ready` waits too, and the caller wonders
        waiting = self.gate.greeting(client_id)
        if waiting is not None and (last_record is None or waiting.since is not None):
            return  # that answers this one, too: while storage hangs a client says hello again and again
        manager = self._manager
        known, position = self._known(client_id), manager.position
        again, since = self._journal_frames_since(client_id, last_record)
        ready = frames.Ready(
            session=manager.session_id,
            known=known,
            history=self._history,
            head=manager.head,
            since=since,
            audio=audio_formats(self._agent.model),
            window=INPUT_WINDOW,
            features=features(self._agent.model, direct=self.audience.is_direct(client_id)),
            holder=shown_holder(manager.holder),
        )
        # Gated, because ``known`` and what is said again may be queued only.
        self.gate.put(ready, position, client_id)
        for frame in again:
            self.gate.put(frame, position, client_id)
        if hello is not None and hello.history and last_record is None:
            self.tell_page(client_id, None)

    def tell_page(self, client_id: str, before: int | None) -> None:
        """Tell a client a page of the conversation: what has been shown so far and was first shown before a record."""
        page = self._recorded.page(client_id, before, self._agent_frames.unshown)
        self.gate.put(page, self._manager.position, client_id)

    def acknowledge(self, client_id: str) -> None:
        """Tell a client what the journal has of its input, once the journal has it for good."""
        known = self._known(client_id)
        ack = frames.InputAck(upto=known.upto, beyond=known.beyond, trace=self._traces.of_input)
        self.gate.put(ack, self._manager.position, client_id)

    def confirm(self, client_id: str, upto: int, beyond: tuple[int, ...]) -> None:
        """Tell a client what of its input has come; that is not to say that it is durable."""
        self.audience.send(frames.Received(upto=upto, beyond=beyond), client_id)

    def ask_again(self, client_id: str, upto: int, beyond: tuple[int, ...]) -> None:
        """Have a client send again what was refused: everything but what has come, which it is told as well."""
        self.audience.send(frames.Resume(), client_id)
        self.confirm(client_id, upto, beyond)

    def refuse(self, client_id: str, code: str | None = None) -> None:
        """Tell a client that the agent's model does not take what it said, or the code that says why."""
        text = None if code else "the agent cannot take this input"
        refusal = frames.error_frame(code or "bad_frame", text)
        self.audience.send(msgspec.structs.replace(refusal, trace=self._traces.of_input), client_id)

    def apologise(self, error: ProviderError) -> None:
        """Tell the clients what became of the conversation's model, and whether to try again."""
        trouble = frames.Error(code=error.code, message=error.message, retryable=error.retryable)
        self.audience.send(msgspec.structs.replace(trouble, trace=self._traces.of_answer))

    async def spoken(self) -> None:
        """Wait until everything that was said so far has been posted."""
        await self.gate.emptied()
        await self.audience.drained()

    def fall_silent(self) -> None:
        """Post nothing more, at once and for good."""
        self._reports.discard_reports()
        self.gate.close()
        self.audience.silence()

    @property
    def _recorded(self) -> RecordedMessages:
        return RecordedMessages(self._agent.messages, self._manager.record_of, self._manager.author_of)

    def _show_typed(self, message: Any, mark: Mark) -> None:
        """Show what a client has typed to those that asked for history."""
        author = self._manager.author_of(message.get("tracking_id", ""))
        for utterance in self._agent_frames.typed(message, mark, author):
            self._show_utterance(utterance)

    def _journal_frames_since(
        self, client_id: str, last_record: int | None
    ) -> tuple[list[frames.JournalFrame], int | None]:
        """Return what a client missed, without what all will hear in a moment, and the record from which on that is."""
        if last_record is None:
            return [], None
        unshown = self._agent_frames.unshown
        asked = [approval_frame(one, time.time()) for one in self._manager.approvals(self._agent.agent_id).told]
        recorded = self._recorded
        typed = {"typed": recorded.typed_by(client_id)} if self.audience.wants_history(client_id) else {}
        missed = retell(recorded.messages, recorded.record_of, last_record, asked, **typed)
        again: deque[frames.JournalFrame] = deque()
        room = RETOLD_BYTES
        for frame in reversed(missed):
            if frame.record in unshown:
                continue
            room -= kept_bytes(frame)
            if len(again) == RETOLD_FRAMES or (room < 0 and again):
                return list(again), again[0].record
            again.appendleft(frame)
        return list(again), last_record

    def _show_utterance(self, utterance: Utterance) -> None:
        frame, trace = utterance.frame, self._traces.of_answer
        if trace is not None:  # now: what leaves the gate later may belong to a turn that is over
            frame = msgspec.structs.replace(frame, trace=trace)
        match utterance.ordering:
            case Ordering.AT_ONCE:
                if isinstance(frame, frames.BargeIn):
                    self._interrupt(frame)
                else:
                    self.audience.send(frame)
            case Ordering.IN_ORDER:
                self.gate.put(frame, None)
            case Ordering.GATED:
                position = self._manager.position if utterance.position is None else utterance.position
                if isinstance(frame, frames.HistoryOutput):
                    self._tell_line(frame, position, utterance.author)
                else:
                    self.gate.put(frame, position)

    def _tell_line(self, frame: frames.HistoryOutput, position: int, author: str | None) -> None:
        """Tell what was typed to each client that asked for history: its number to the one that typed it."""
        anothers = tuple(msgspec.structs.replace(line, input=None) for line in frame.lines)
        for client_id in self.audience.asking_history:
            own = frame if client_id == author else msgspec.structs.replace(frame, lines=anothers)
            self.gate.put(own, position, client_id)

    def _interrupt(self, frame: frames.BargeIn) -> None:
        self._reports.use_reports()  # of a barge-in before this one
        self.audience.drop_audio()
        self.audience.send(frame)
        if PLAYED in features(self._agent.model):
            self._reports.expect_reports(self.audience.listening)

    def _known(self, client_id: str) -> Known:
        return self._manager.inputs.get(client_id, Known())

    def _pause(self, active: bool) -> None:  # noqa: FBT001 - a callback with one fact
        self._paused = active
        self.audience.send(msgspec.structs.replace(_STORAGE_PAUSE, active=active))


def features(model: object, *, direct: bool = False) -> tuple[str, ...]:
    """Return the optional parts of the protocol that a conversation has.

    Args:
        model: Of its agent.
        direct: Whether the client's connection is a socket at a worker.
    """
    audible = isinstance(model, AudioCapable)
    known = {
        HISTORY: True,
        PLAYED: hasattr(model, "shorten"),
        SILENCE: audible,
        DIRECT: direct,
        BINARY: direct and audible,
    }
    return tuple(feature for feature, has in known.items() if has)


def audio_formats(model: object) -> frames.AudioFormats | None:
    """Return the audio formats that a model takes and gives, None if it has no audio."""
    if not isinstance(model, AudioCapable):
        return None
    config = model.get_audio_config()
    heard, spoken = config["input"], config["output"]
    return frames.AudioFormats(
        input=frames.AudioFormat(rate=heard["sample_rate"], channels=heard["channels"], format=heard["format"]),
        output=frames.AudioFormat(rate=spoken["sample_rate"], channels=spoken["channels"], format=spoken["format"]),
    )
