"""Nothing that is said, shown or secret is in a worker's log lines."""

from __future__ import annotations

import pytest

from segue.wire.frames import Error, InputAck, Tool, Transcript
from tests.support.log_lines import all_lines
from tests.support.scripted_model import answered, calling, spoken
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import address, claim, delivery, hello, text

SECRET = "s3cr3t-4111"


@pytest.fixture
def log():
    with all_lines() as written:
        yield written


async def call(world, clients):
    """A call with all that is said in it; returns its session."""
    await world.host.open_session(claim("talk", address()))
    (session,) = world.host.sessions
    session.deliver(delivery(hello()))
    session.deliver(delivery(text(f"my card is {SECRET}", 1)))
    await eventually(lambda: clients.of("k1", InputAck))
    (model,) = world.models
    model.emit(spoken(f"it was {SECRET}", role="user"))
    model.emit(calling("weather", "u1", city=SECRET))
    model.emit(answered(f"{SECRET} it is", content_id="c2"))
    await eventually(lambda: [one for one in clients.of("k1", Transcript) if one.final and one.text.startswith(SECRET)])
    await eventually(lambda: clients.of("k1", Tool))
    return session, model


async def test_a_call_is_in_the_log_and_what_is_said_in_it_is_not(world, clients, log):
    session, _ = await call(world, clients)
    await session.stop()

    lines = log.getvalue()
    assert "default/talk" in lines
    assert SECRET not in lines
    assert session.route_token
    assert session.route_token not in lines


async def test_a_call_that_breaks_logs_its_error_and_no_content(world, clients, log):
    session, model = await call(world, clients)
    model.emit([RuntimeError("the line is dead")])
    await eventually(lambda: clients.of("k1", Error))
    await eventually(session.ended.is_set)

    lines = log.getvalue()
    assert "the line is dead" in lines
    assert SECRET not in lines
    assert session.route_token not in lines
