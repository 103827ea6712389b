"""The terminal client: a conversation through the deployed WebSocket API, on the client library."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from local.errors import LocalError
from local.terminal.lines import Lines
from local.terminal.transcript import Turn, View
from local.timeouts import patient
from segue.client import Client, ClientError, SenderFull
from segue.wire import frames
from segue.wire.frames import FrameError

ANSWER_SECONDS = 60.0
QUIET_SECONDS = 0.5
"""Seconds of silence after which an answer counts as whole: a tool may follow what is said first."""


class Conversation:
    """One conversation in one session.

    Attributes:
        lines_read: How many lines have been taken from standard input.
        interactive: Whether a person sits at a terminal.
    """

    def __init__(
        self,
        url: str,
        session: str,
        token: Callable[[], str],
        *,
        json_lines: bool = False,
        modality: frames.Modality = "voice",
        lines: Lines | None = None,
    ) -> None:
        self.lines_read = 0
        self._lines = lines
        self._token = token
        self._url = url
        self._session = session
        self._modality = modality
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty() and not json_lines
        self._json_lines = json_lines
        self._view = View(_write, interactive=self.interactive)
        self._turn = Turn()
        self._changed = asyncio.Condition()

    def note(self, text: str) -> None:
        """Show something that is not part of the conversation."""
        if not self._json_lines:
            self._view.note(text)

    async def run(self) -> None:
        """Talk until standard input ends and the last answer is there.

        Raises:
            LocalError: The server does not answer.
        """
        self.note("connecting")  # the first answer of a text function takes seconds
        try:
            async with self._client() as client:
                await self._talk(client)
        except ClientError as error:
            msg = f"the conversation at {self._url} ended: {error}"
            raise LocalError(msg) from error

    def _client(self) -> Client:
        return Client(
            self._url,
            session=self._session,
            token=self._token,
            modality=self._modality,
            approvals=self._modality == "text",
        )

    async def _hear(self, client: Client, frame: frames.ServerFrame) -> None:
        """Do what else is to be done about a frame."""

    async def _talk(self, client: Client) -> None:
        listening = asyncio.create_task(self._listen(client))
        sending = asyncio.create_task(self._send(client))
        try:
            await asyncio.wait({listening, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                await listening  # raises what ended it
            await sending
        finally:
            for task in (listening, sending):
                task.cancel()
            await asyncio.gather(listening, sending, return_exceptions=True)
            if self.interactive:
                _write("\n")

    async def _listen(self, client: Client) -> None:
        async for frame in client.events():
            await self._hear(client, frame)
            self._show(frame)
            async with self._changed:
                self._turn.note_frame(frame)
                self._changed.notify_all()
            if self._turn.answered:
                self._view.prompt()

    def _show(self, frame: frames.ServerFrame) -> None:
        if self._json_lines:
            _write(msgspec.json.encode(_without_audio(frame)).decode() + "\n")
        else:
            self._view.show(frame)

    async def _send(self, client: Client) -> None:
        self._view.prompt()
        async for line in self._lines or Lines(sys.stdin.fileno()):
            self.lines_read += 1
            if not line.strip():
                continue
            if client.approval is None and not self._json_lines:
                self._view.typed(line)
            try:
                if not await self._say(client, line):
                    continue
            except (FrameError, SenderFull) as error:
                self.note(f"not sent: {error}")
                continue
            if not self.interactive:
                await self._answer()
        await client.flush()

    async def _say(self, client: Client, line: str) -> bool:
        """Send a line: as an answer, if the agent waits for one. Returns whether something was sent."""
        approval = client.approval
        if approval is None:
            await client.send_text(line)
        elif (consent := consent_in(line)) is None:
            self.note("the agent waits for an answer: y or n")
            return False
        else:
            await client.answer(approval, {request.id: consent for request in approval.requests})
        self._turn.note_input()
        return True

    async def _answer(self) -> None:
        limit = patient(ANSWER_SECONDS)
        try:
            async with asyncio.timeout(limit):
                while not await self._quiet():
                    async with self._changed:
                        await self._changed.wait_for(lambda: self._turn.answered)
        except TimeoutError as error:
            msg = f"no answer within {limit:.0f} s."
            raise LocalError(msg) from error

    async def _quiet(self) -> bool:
        """Tell whether the answer is there and stays the answer for a moment."""
        try:
            async with asyncio.timeout(QUIET_SECONDS), self._changed:
                await self._changed.wait_for(lambda: not self._turn.answered)
        except TimeoutError:
            return True
        return False


def consent_in(line: str) -> bool | None:
    """Read the answer to a question that asks for consent; None if it is neither yes nor no."""
    word = line.strip().lower()
    if word in {"y", "yes", "n", "no"}:
        return word.startswith("y")
    return None


def _without_audio(frame: frames.ServerFrame) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(frame)
    if isinstance(frame, frames.AudioOutput):
        fields["audio"] = f"{len(frame.pcm)} bytes"
    return fields


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
