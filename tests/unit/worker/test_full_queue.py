"""The library's client and a holder whose queue is full: what was refused is sent again, and nothing else."""

from __future__ import annotations

import pytest

from segue.client.conversation import Conversation
from segue.client.settings import ClientSettings
from segue.wire.frames import FrameError, Ready, Resume, TextInput, encode_frame, error_frame
from segue.wire.rate import FrameRate
from segue.wire.sender import SenderSettings
from tests.support.waiting import eventually, within
from tests.unit.worker.stand_ins import delivery, turns
from worker.conversation.input.intake import QUEUE_FRAMES
from worker.conversation.input.receipts import INPUT_WINDOW

TOO_MANY = 40
QUICK = SenderSettings(rate=1000.0, burst=QUEUE_FRAMES, text_timeout=60.0)
"""Sends nothing again by itself, or it would not show who asked."""


class Caller:
    """A client's conversation with the holder, on a clock of its own."""

    def __init__(self, hosting, clients):
        self.talk = Conversation("talk", "c1", "voice", ClientSettings(sender=QUICK))
        self.number = self.talk.connected(0.0)
        self.now = 0.0
        self.refused = []
        self._session, self._clients, self._heard = hosting.session, clients, 0

    async def speak(self):
        """Say what is due; hear what that is answered with. Returns the numbers that were sent."""
        self.now += 0.1
        sent = self.talk.outgoing(self.now, self.number)
        for frame in sent:
            try:
                self._session.deliver(delivery(frame))
            except FrameError as error:
                self.refused.append(frame.seq)
                self._hear(error_frame(error.code))
        await turns()
        while self._heard < len(posted := self._clients.posted["k1"]):
            self._heard += 1
            self._hear(posted[self._heard - 1])
        return [frame.seq for frame in sent if isinstance(frame, TextInput)]

    def _hear(self, frame):
        self.talk.received(encode_frame(frame), self.now, self.number)


@pytest.mark.slow
async def test_only_frames_refused_by_a_full_queue_are_sent_again(host, clients, monkeypatch):
    hosting = await host()
    send = hosting.model.send

    async def send_half_of_it(content):
        await send(content)
        if len(hosting.model.texts) == QUEUE_FRAMES // 2 + 2:
            hosting.model.free.clear()

    monkeypatch.setattr(hosting.model, "send", send_half_of_it)
    hosting.session._rate = FrameRate(lambda: 0.0, burst=10**6)
    hosting.model.free.clear()
    caller = Caller(hosting, clients)
    words = [str(number) for number in range(1, QUEUE_FRAMES + 1 + TOO_MANY + 1)]
    caller.talk.say(*(TextInput(text=text) for text in words))
    async with within(30):
        while len(caller.refused) < TOO_MANY:
            assert len(await caller.speak()) <= INPUT_WINDOW
    refused = caller.refused.copy()
    hosting.model.free.set()
    await eventually(lambda: clients.of("k1", Resume))
    again = []
    async with within(30):
        while len(again) < TOO_MANY:
            again += await caller.speak()
        assert caller.talk.unacknowledged > TOO_MANY, "the rest has come, and is not done"
        hosting.model.free.set()
        while caller.talk.unacknowledged:
            again += await caller.speak()
    assert again == refused == list(range(QUEUE_FRAMES + 2, len(words) + 1))
    assert hosting.model.texts == words
    assert len(clients.of("k1", Resume)) == 1
    assert {frame.epoch for frame in clients.of("k1", Ready)} == {hosting.session.epoch}
