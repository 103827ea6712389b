"""One turn: a frame of a client, and what the agent makes of it.

    text, not recorded ──▶ the agent runs ──▶ user's message durable ──▶ ready, ack
                                          └─▶ each further message durable ──▶ tool, text
    text, recorded, not answered ──▶ ready, ack ──▶ the agent goes on from its history, nothing is recorded twice
    text, recorded and answered ───▶ ready, ack, and the answer again from the journal
    text, one before it missing ───▶ nothing: its client sends both again
    hello ─────────────────────────▶ ready, and what it has not shown, or a page of the conversation
    history ───────────────────────▶ ready, and a page
    image ─────────────────────────▶ error: a turn is of text; its number counts as taken, so that texts may follow
    text, an approval is open ─────▶ error: the same
    answer to an open approval ────▶ durable ──▶ ready, ack ──▶ the agent is resumed with it
    an approval's time is over ────▶ what waits for it is denied and the agent resumed, before anything else

Which it is, is read from the session itself, so a message that comes again after a crash anywhere does what was left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools import Logger

from segue.history.approvals import latest_of
from segue.lease.item import Known
from segue.wire.delivery import Delivery
from segue.wire.frames import AnswerInput, Hello, HistoryRequest, ImageInput, TextInput
from shared.agent_code import comes_of_storage
from shared.conversation.messages import text_of
from turn.approvals import Step, TurnApprovals
from turn.history import is_owed, last_said
from turn.sessions import TextSession
from turn.storage_pause import LOOK_SECONDS, PAUSE_SECONDS
from turn.turn_frames import TurnFrames
from turn.turn_outbox import TurnOutbox

CANCEL_SECONDS: Final = 2.0
"""Seconds for a cancelled agent to end; after them it is left. A tool in a thread does not end: it is told of as
interrupted."""

if TYPE_CHECKING:
    from strands.types.content import Message

logger = Logger()


class OutOfTime(Exception):  # noqa: N818 - an answer, not a fault
    """Raised when the invocation ends before its turn. What is recorded is durable; another goes on from there."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One invocation's try at a turn.

    Attributes:
        delivery: The frame, and whose it is.
        repeated: Whether there was a try before.
        seconds_left: How long the invocation may still take.
    """

    delivery: Delivery
    repeated: bool
    seconds_left: Callable[[], float]

    async def wait_for(self, running: asyncio.Task[object], reserve: float) -> bool:
        """Wait until a task has finished, or only ``reserve`` seconds are left; return whether it has finished."""
        finished, _ = await asyncio.wait({running}, timeout=max(0.0, self.seconds_left() - reserve))
        return bool(finished)


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """Settings that are the same for all turns.

    Attributes:
        approval_seconds: How long people may answer an approval.
        wall_clock: Seconds since 1970.
        last_call_seconds: Of an invocation, with less than which no further call of the model begins: it would be cut
            off and still be paid for.
        reserve_seconds: Of an invocation, kept back for the end of a turn: the flush, the release and the last POSTs.
            An agent that runs until then is cancelled.
        release_seconds: Of an invocation, kept back for the flush and the release, which come after the last POST.
        end_seconds: Of an invocation, kept back for giving the message back, which is the last of all.
        pause_seconds: Without a commit, after which the clients are told.
        look_seconds: Between two looks at what is committed.
    """

    approval_seconds: float = 300.0
    wall_clock: Callable[[], float] = time.time
    last_call_seconds: float = 30.0
    reserve_seconds: float = 10.0
    release_seconds: float = 4.0
    end_seconds: float = 1.0
    pause_seconds: float = PAUSE_SECONDS
    look_seconds: float = LOOK_SECONDS


TURN_SETTINGS: Final = TurnSettings()
"""The settings of turns, unless their function has others."""


class Turn:
    """One turn of a session that is held."""

    def __init__(self, session: TextSession, attempt: Attempt, outbox: TurnOutbox, settings: TurnSettings) -> None:
        """Keep the parts; nothing runs yet."""
        self._manager = session.manager
        self._agent = session.agent
        self._session = session
        self._attempt = attempt
        self._settings = settings
        self._client_id = attempt.delivery.client_id
        frame = attempt.delivery.frame
        shown = frame.last_record if isinstance(frame, Hello | TextInput | AnswerInput | HistoryRequest) else None
        self._frames = TurnFrames(session.manager, session.agent, outbox, (self._client_id, shown), settings.wall_clock)
        self._approvals = self._manager.approvals(self._agent.agent_id)
        self._pause = TurnApprovals(self._approvals, settings.approval_seconds, settings.wall_clock)

    async def run(self) -> None:
        """Take the turn. What it says may still be in flight when this returns.

        Raises:
            OutOfTime: The rest is left to another invocation.
            Exception: What the agent raised.
        """
        match self._attempt.delivery.frame:
            case Hello() as hello:
                await self._go_on()
                self._frames.greet()
                if hello.history and hello.last_record is None:
                    self._frames.tell_page(None)
            case HistoryRequest() as request:
                self._frames.greet()
                self._frames.tell_page(request.before)
            case TextInput() as frame:
                await self._take(frame)
            case AnswerInput() as frame:
                await self._take(frame)
            case ImageInput() as frame:
                await self._refuse_image(frame)
            case _:
                logger.warning(
                    "a frame that no turn answers is dropped", kind=type(self._attempt.delivery.frame).__name__
                )

    async def _take(self, frame: TextInput | AnswerInput) -> None:
        if self._is_recorded(frame):
            await self._finish(frame)
        elif self._is_early(frame):
            logger.info("a frame is dropped, the one before it is missing", client=self._client_id, seq=frame.seq)
        elif isinstance(frame, AnswerInput):
            await self._take_answer(frame)
        elif not frame.text.strip():
            await self._skip(frame)
        else:
            await self._take_text(frame)

    async def _take_text(self, frame: TextInput) -> None:
        # An agent that was stopped before its first step, by a process that died then, was invoked with this text.
        stopped_with_it = self._pause.step is Step.UNASKED and not self._approvals.waiting_tools
        if not stopped_with_it:
            await self._go_on()
            if self._pause.step is Step.OPEN:
                return await self._refuse(frame, "approval_open")
            self._note(frame)
            await self._answer(frame.text)
        if self._pause.step is Step.UNASKED and not self._approvals.waiting_tools:
            self._add_prompt(frame)
        return await self._go_on()

    async def _take_answer(self, frame: AnswerInput) -> None:
        await self._go_on()
        if (code := self._pause.refusal_of(frame)) is not None:
            return await self._refuse(frame, code)
        self._pause.answer(frame, self._client_id)
        await self._tell()
        return await self._go_on()

    async def _finish(self, frame: TextInput | AnswerInput) -> None:
        """Do what is left of an input that is recorded."""
        self._frames.from_last_input()
        self._frames.greet_all()
        await self._go_on()
        code = None if frame.seq is None else self._approvals.refusal_of(self._client_id, frame.seq)
        if code is not None:
            self._frames.refuse(code, frame.seq)
        elif self._pause.step is Step.NOTHING and is_owed(self._agent.messages):
            await self._answer(None)
            await self._go_on()

    async def _go_on(self) -> None:
        """Bring an agent that waits for people to where it may stay: asked, or done with that."""
        if self._pause.tidy():
            await self._tell()
        if self._attempt.repeated and self._was_cut():
            await self._answer(None)
        while (step := self._pause.step) not in {Step.NOTHING, Step.OPEN}:
            if step is Step.DECIDED:
                await self._resume()
            else:
                told = self._pause.expire() if step is Step.OVERDUE else self._pause.ask(can_answer=self._can_answer)
                logger.info("an agent asks", session=self._session.manager.session_key, status=told.status)
            await self._tell()

    @property
    def _can_answer(self) -> bool:
        delivery = self._attempt.delivery
        return delivery.approvals or isinstance(delivery.frame, AnswerInput)

    async def _resume(self) -> None:
        """Run an agent that has its responses."""
        self._session.denial = self._approvals.denial
        try:
            await self._answer(self._approvals.resumption)
        except Exception as error:
            # Code that cannot do with a response fails each time; the session must not wait for it for ever.
            waits = self._pause.step is Step.DECIDED and bool(self._approvals.waiting_tools)
            if not (waits and self._attempt.repeated) or comes_of_storage(error):
                raise
            logger.exception("an approval cannot be applied, what waits for it is denied", client=self._client_id)
            self._pause.give_up()
        finally:
            self._session.denial = None

    def _was_cut(self) -> bool:
        """Return true if an earlier try resumed the agent, and ended before the agent did."""
        latest, said = latest_of(self._approvals.records), last_said(self._agent.messages)
        began = None if said is None else self._manager.record_of(said.get("tracking_id", ""))
        resumed = latest is not None and began is not None and latest.number > began
        return resumed and self._pause.step is Step.NOTHING and is_owed(self._agent.messages)

    def _add_prompt(self, frame: TextInput) -> None:
        """Record what the agent was stopped before its first step with, unless it is in its history.

        Strands does not add it when the agent is resumed, and the model would not hear of it.
        """
        last = self._agent.messages[-1] if self._agent.messages else None
        if last is not None and last["role"] == "user" and text_of(last) == frame.text:
            return
        self._note(frame)
        prompt: Message = {"role": "user", "content": [{"text": frame.text}]}
        self._agent.messages.append(prompt)
        self._manager.append_message(prompt, self._agent)

    def _note(self, frame: TextInput) -> None:
        """Say that the next message is the effect of a text."""
        if frame.seq is not None:
            self._manager.note_input(self._client_id, [frame.seq])

    async def _refuse_image(self, frame: ImageInput) -> None:
        if frame.seq is not None and frame.seq in self._known:
            self._frames.greet()
        elif not self._is_early(frame):
            await self._skip(frame)
            self._frames.refuse("bad_image", frame.seq, "a turn of text takes no images")

    async def _refuse(self, frame: TextInput | AnswerInput, code: str) -> None:
        """Tell a client that its input comes at the wrong moment. Its number is taken."""
        if frame.seq is not None:
            self._approvals.refuse(code, (self._client_id, (frame.seq,)))
            await self._manager.flush()
        self._frames.refuse(code, frame.seq)

    def _is_early(self, frame: TextInput | ImageInput | AnswerInput) -> bool:
        return frame.seq is not None and frame.seq != self._known.upto + 1

    def _is_recorded(self, frame: TextInput | AnswerInput) -> bool:
        if frame.seq is not None:
            return frame.seq in self._known
        if isinstance(frame, AnswerInput):
            return False  # taken before, it is one to something that is not open any more
        # Without a number nothing is promised; but a try that failed after recording it would record it again.
        said = last_said(self._agent.messages) if self._attempt.repeated else None
        return said is not None and text_of(said) == frame.text

    async def _skip(self, frame: TextInput | ImageInput) -> None:
        """Take no notice of what no model takes, blank text say; but its number must not be missing."""
        if frame.seq is not None:
            self._manager.record_input(self._client_id, [frame.seq])
            await self._manager.flush()
        self._frames.greet()

    async def _tell(self) -> None:
        """Have clients hear what was recorded without a message."""
        await self._manager.flush()
        self._frames.became_durable()

    async def _answer(self, prompt: str | list[Any] | None) -> None:
        """Run the agent, as long as there is time."""
        self._session.on_durable = self._frames.became_durable
        running = asyncio.create_task(self._agent.invoke_async(prompt))
        if not await self._attempt.wait_for(running, self._settings.last_call_seconds):
            self._agent.cancel(after_current_tools=True)
            if not await self._attempt.wait_for(running, self._settings.reserve_seconds):
                running.cancel()
                await asyncio.wait({running}, timeout=CANCEL_SECONDS)
                raise OutOfTime
        if (await running).stop_reason == "cancelled":
            raise OutOfTime

    @property
    def _known(self) -> Known:
        return self._manager.inputs.get(self._client_id, Known())
