"""The demo's microphone."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from local.demo.caller import MOST_FRAMES, LineSender, Microphone
from tests.support.waiting import eventually


class Client:
    """A client whose frames nothing acknowledges."""

    ready = None

    def __init__(self, unacknowledged: int) -> None:
        self.looks = 0
        self.sent = 0
        self._unacknowledged = unacknowledged

    @property
    def unacknowledged(self) -> int:
        self.looks += 1
        return self._unacknowledged + self.sent

    def acknowledge(self) -> None:
        self._unacknowledged = 0

    async def send_audio(self, _: bytes) -> int:
        self.sent += 1
        return 0


@pytest.mark.slow
async def test_the_microphone_is_held_while_too_much_is_unacknowledged() -> None:
    client = Client(MOST_FRAMES - 2)
    running = asyncio.create_task(Microphone(LineSender(cast("Any", client))).run())
    await eventually(lambda: client.sent == 2)
    looks = client.looks
    await eventually(lambda: client.looks > looks + 2)
    assert client.sent == 2
    client.acknowledge()
    await eventually(lambda: client.sent > 2)
    running.cancel()
