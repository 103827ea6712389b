"""Times at which clients are told of received input. Times are virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.simulation.loop import VirtualLoop
from worker.conversation.input.receipts import CONFIRMED_FRAMES, CONFIRMED_SECONDS, OVERTAKEN_SECONDS, Receipts


class Clients:
    """Their progress, and what they are told, with the time."""

    def __init__(self) -> None:
        self.progress: dict[str, tuple[int, tuple[int, ...]]] = {}
        self.told: list[tuple[float, str, int, tuple[int, ...]]] = []
        self.receipts = Receipts(lambda client_id: self.progress[client_id], self._tell)

    def come(self, upto: int, *beyond: int, client_id: str = "a") -> None:
        self.progress[client_id] = upto, beyond
        self.receipts.note_frame(client_id)

    def _tell(self, client_id: str, upto: int, beyond: tuple[int, ...]) -> None:
        self.told.append((round(asyncio.get_running_loop().time(), 1), client_id, upto, beyond))


def play(script: Callable[[Clients], Awaitable[None]]) -> list[tuple[float, str, int, tuple[int, ...]]]:
    """Return the receipts that clients get while a script runs, and for three seconds after it."""
    clients = Clients()

    async def run() -> None:
        running = asyncio.create_task(clients.receipts.run())
        await script(clients)
        await asyncio.sleep(3.0)
        running.cancel()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())
    return clients.told


def test_a_frame_is_confirmed_after_a_second_with_all_that_came_meanwhile() -> None:
    async def script(clients: Clients) -> None:
        clients.come(1)
        await asyncio.sleep(CONFIRMED_SECONDS / 2)
        clients.come(2)

    assert play(script) == [(CONFIRMED_SECONDS, "a", 2, ())]


def test_many_frames_are_confirmed_at_once() -> None:
    async def script(clients: Clients) -> None:
        for upto in range(1, CONFIRMED_FRAMES + 1):
            clients.come(upto)
        await asyncio.sleep(0.1)
        clients.come(CONFIRMED_FRAMES + 1)

    later = round(CONFIRMED_SECONDS + 0.1, 1)
    assert play(script) == [(0.0, "a", CONFIRMED_FRAMES, ()), (later, "a", CONFIRMED_FRAMES + 1, ())]


def test_missing_numbers_are_told_soon_and_until_they_come() -> None:
    async def script(clients: Clients) -> None:
        clients.come(1)
        clients.come(1, 3, 4)
        await asyncio.sleep(OVERTAKEN_SECONDS + CONFIRMED_SECONDS + 0.1)
        clients.come(4)

    again = OVERTAKEN_SECONDS + CONFIRMED_SECONDS
    assert play(script) == [
        (OVERTAKEN_SECONDS, "a", 1, (3, 4)),
        (again, "a", 1, (3, 4)),
        (round(again + CONFIRMED_SECONDS, 1), "a", 4, ()),
    ]


def test_an_overtaken_number_is_not_told_as_missing() -> None:
    async def script(clients: Clients) -> None:
        clients.come(0, 2)
        await asyncio.sleep(OVERTAKEN_SECONDS / 2)
        clients.come(2)

    assert play(script) == [(OVERTAKEN_SECONDS, "a", 2, ())]


def test_a_repeated_frame_is_confirmed_again() -> None:
    async def script(clients: Clients) -> None:
        clients.come(1)
        await asyncio.sleep(2.0)
        clients.come(1)

    assert [told[2] for told in play(script)] == [1, 1]


def test_clients_are_told_of_their_own_input_only() -> None:
    async def script(clients: Clients) -> None:
        clients.come(5)
        clients.come(7, client_id="b")

    assert play(script) == [(CONFIRMED_SECONDS, "a", 5, ()), (CONFIRMED_SECONDS, "b", 7, ())]
