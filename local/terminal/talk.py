"""The terminal client with a microphone and a loudspeaker: speak, be answered, speak over the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from local.errors import LocalError
from local.terminal.chat import Conversation
from local.terminal.sound import Player, open_sound
from segue.client import Client
from segue.wire import frames


class SpokenConversation(Conversation):
    """One conversation in one session, spoken; lines that are typed are sent, too."""

    def __init__(self, url: str, session: str, token: Callable[[], str], card: Any) -> None:
        """Keep the sound card, see ``local.terminal.sound``."""
        super().__init__(url, session, token)
        self._card = card
        self._player = Player()
        self._unheard: Callable[[], float] = lambda: 0.0

    def _client(self) -> Client:
        return Client(self._url, session=self._session, token=self._token, silence="mark")

    async def _talk(self, client: Client) -> None:
        if client.ready is None or client.ready.audio is None:
            msg = "this agent neither hears nor speaks: type to it, with .venv/bin/python -m local chat."
            raise LocalError(msg)
        pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.note("speak, best with headphones: nothing here takes the loudspeaker out of the microphone. Ctrl-D ends")
        with open_sound(self._card, client.ready.audio, self._player, pieces.put_nowait) as self._unheard:
            speaking = asyncio.create_task(self._speak(client, pieces))
            try:
                await super()._talk(client)
            finally:
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)

    async def _speak(self, client: Client, pieces: asyncio.Queue[bytes]) -> None:
        while True:
            await client.send_audio(await pieces.get())

    async def _hear(self, client: Client, frame: frames.ServerFrame) -> None:
        match frame:
            case frames.AudioOutput():
                self._player.add(frame)
            case frames.BargeIn():
                await client.played(*self._player.stop(self._unheard()))
            case _:
                pass
