"""The line protocol of the conformance kit for segue.client: ``python -m tests.conformance.python_client``.

docs/clients.md describes the lines. ``--mutant NAME`` puts a deliberate fault into the client.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from typing import Any

import click
import msgspec

from segue.client import Client, ClientError, ClientSettings, HandshakeRefused, SenderFull, SessionRefused
from segue.wire.frames import FrameError
from segue.wire.sender import SenderSettings
from tests.conformance.mutants import MUTANTS

SENDER_SECONDS = {"text_timeout_ms": "text_timeout", "audio_timeout_ms": "audio_timeout"}
SENDER_COUNTS = {"audio_bytes": "audio_bytes", "lasting_bytes": "lasting_bytes"}
CLIENT_SECONDS = {
    "connection_lifetime_ms": "connection_lifetime",
    "silence_timeout_ms": "silence_timeout",
    "pong_timeout_ms": "pong_timeout",
    "give_up_after_ms": "give_up_after",
}
CLIENT_COUNTS = {"event_capacity": "event_capacity"}

OPTIONS = ("session", "client_id", "modality", "approvals", "history", "silence")
"""Options of a conversation that the client has under the same name."""


def settings(given: dict[str, int]) -> ClientSettings:
    """Settings as a case names them: times in milliseconds."""
    sender: dict[str, Any] = {name: given[key] / 1000 for key, name in SENDER_SECONDS.items() if key in given}
    sender |= {name: given[key] for key, name in SENDER_COUNTS.items() if key in given}
    client: dict[str, Any] = {name: given[key] / 1000 for key, name in CLIENT_SECONDS.items() if key in given}
    client |= {name: given[key] for key, name in CLIENT_COUNTS.items() if key in given}
    return ClientSettings(sender=SenderSettings(**sender), **client)


class Driver:
    """One conversation, driven by commands."""

    def __init__(self, case: str) -> None:
        self._case = case
        self._commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reading = asyncio.Event()
        self._reading.set()
        self._approvals: dict[int, Any] = {}
        self._sounds: dict[tuple[int, int], Any] = {}
        self.task = asyncio.create_task(self._run())

    def take(self, command: dict[str, Any]) -> None:
        self._commands.put_nowait(command)

    async def _run(self) -> None:
        options = await self._commands.get()
        given = {name: options[name] for name in OPTIONS if name in options}
        tokens = options.get("tokens")
        token = (lambda: tokens.pop(0) if len(tokens) > 1 else tokens[0]) if tokens else options.get("token")
        client = Client(options["url"], token=token, settings=settings(options.get("settings", {})), **given)
        # `start` waits for a holder, and commands may come before there is one.
        starting = asyncio.create_task(client.start())
        reading = asyncio.create_task(self._read(client))
        try:
            while (command := await self._commands.get())["do"] != "close":
                await self._obey(client, command)
            await client.close()
        except Exception as error:  # noqa: BLE001 - the kit is told, whatever it is
            self._say(failed=repr(error))
        await asyncio.gather(starting, reading, return_exceptions=True)

    async def _read(self, client: Client) -> None:
        why = "closed"
        try:
            async for event in client.events():
                await self._reading.wait()
                shown = msgspec.to_builtins(event)
                if shown["type"] == "approval" and "record" in shown:
                    self._approvals[shown["record"]] = event
                if shown["type"] == "audio":
                    self._sounds[shown["epoch"], shown["seq"]] = event
                self._say(shown=shown)
        except HandshakeRefused:
            why = "handshake_refused"
        except SessionRefused:
            why = "session_refused"
        except ClientError as error:
            why = type(error).__name__
        self._say(ended=why)

    async def _obey(self, client: Client, command: dict[str, Any]) -> None:
        try:
            match command:
                case {"do": "text", "text": text}:
                    await client.send_text(text)
                case {"do": "audio", "pcm": pcm}:
                    await client.send_audio(base64.b64decode(pcm))
                case {"do": "image", "image": image, "media_type": kind}:
                    await client.send_image(base64.b64decode(image), kind)
                case {"do": "answer", "approval": record, "responses": responses}:
                    await client.answer(self._approvals[record], responses)
                case {"do": "history"}:
                    self._page = asyncio.create_task(self._show_page(client, command.get("before")))
                case {"do": "played", "epoch": epoch, "seq": seq, "ms": ms}:
                    await client.played(self._sounds.get((epoch, seq)), ms)
                case _:
                    self._reading_is(command["do"])
        except (FrameError, SenderFull) as error:
            self._say(refused=type(error).__name__)
        except ClientError:
            pass  # `ended` tells of it

    async def _show_page(self, client: Client, before: int | None) -> None:
        self._say(shown=msgspec.to_builtins(await client.history(before)))

    def _reading_is(self, command: str) -> None:
        if command == "pause":
            self._reading.clear()
            self._say(did="pause")
        elif command == "resume":
            self._reading.set()
        else:
            self._say(failed=f"there is no command {command!r}")

    def _say(self, **report: Any) -> None:
        say({"case": self._case, **report})


def say(report: dict[str, Any]) -> None:
    """Give a report."""
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


async def drive() -> None:
    """Take commands until there are no more."""
    say({"client": "segue.client", "can": ["settings", "status", "history", "silence", "played", "binary"]})
    drivers: dict[str, Driver] = {}
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        case = command.pop("case")
        if command["do"] == "open":
            drivers[case] = Driver(case)
        drivers[case].take(command)
    for driver in drivers.values():
        driver.task.cancel()


@click.command()
@click.option("--mutant", type=click.Choice(sorted(MUTANTS)), help="A deliberate fault.")
def main(*, mutant: str | None) -> None:
    """Speak the kit's line protocol for segue.client."""
    if mutant:
        MUTANTS[mutant]()
    asyncio.run(drive())


if __name__ == "__main__":
    main()
