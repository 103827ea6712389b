"""Nothing that is written or answered is in the log lines of a text function."""

from __future__ import annotations

from segue.wire.frames import TextOutput
from tests.support.log_lines import all_lines
from tests.unit.turn.conftest import Person

SECRET = "s3cr3t-4111"


async def test_a_turn_is_in_the_log_and_what_is_said_in_it_is_not(world, processes):
    with all_lines() as log:
        person, process = Person(world), processes()
        await process.take(await person.say(process, f"my card is {SECRET}"))
        person.listen()
        await process.take(await person.say(process, f"use remember with {SECRET}"))
        person.listen()

    assert any(SECRET in frame.text for frame in world.frames() if isinstance(frame, TextOutput)), (
        "the client got its answer"
    )
    assert "turn taken" in log.getvalue()
    assert SECRET not in log.getvalue()
