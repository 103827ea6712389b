"""Random messages in the queue: a turn, or a message that is reported as failed, soon; and the next turn is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.environment import read_environment
from segue.wire.claims import ClientAddress
from segue.wire.delivery import Delivery, decode_delivery, encode_delivery
from segue.wire.frames import (
    AnswerInput,
    AudioInput,
    Bye,
    FrameError,
    Hello,
    ImageInput,
    OutputAck,
    Ping,
    Response,
    TextInput,
)
from tests.unit.turn.conftest import KEY, Process, World
from tests.unit.turn.test_handler import VARIABLES, Context
from turn import handler
from turn.environment import TurnEnvironment

CALL_SECONDS = 10.0
"""Time limit of one invocation of some turns on a busy machine: they take some hundredths of a second."""

FRAMES = [
    Hello(session="talk", client_id="c1", connection=1),
    Hello(session="talk", client_id="c1", connection=1, last_record=2),
    TextInput(text="please remember that it rains", seq=1),
    TextInput(text="hi"),
    TextInput(text=" ", seq=1),
    AudioInput.from_pcm(b"\0\0" * 800, seq=2),
    ImageInput(image="AAAA", media_type="image/png", part=1, parts=1, seq=2),
    AnswerInput(approval=4, responses=(Response(id="i", response=True),), seq=1),
    AnswerInput(approval=0, responses=(Response(id="i", response={"a": [1]}),)),
    OutputAck(epoch=1, seq=1),
    Ping(),
    Bye(),
]
LEAVES = st.none() | st.booleans() | st.integers(-2, 300) | st.floats() | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda some: st.lists(some, max_size=4) | st.dictionaries(st.text(max_size=9), some))
NAMES_IN_FRAMES = "type session client_id connection last_record seq text image part parts approval responses trace"
OF_FRAME = st.dictionaries(st.sampled_from(NAMES_IN_FRAMES.split()), LEAVES, max_size=2)
OF_DELIVERY = st.fixed_dictionaries(
    {},
    optional={
        "session_key": st.sampled_from([KEY, "alice/other", "alice", "/", "..", "a/../b", "x/" + "y" * 3000, "é/\0"]),
        "client_id": st.sampled_from(["c1", "c2", "", "x" * 3000]) | LEAVES,
        "connection_id": st.sampled_from(["k1", "", "é="]) | LEAVES,
        "counter": LEAVES,
        "approvals": LEAVES,
        "frame": JSON,
    },
)


def changed(parts: Any) -> str:
    frame, in_frame, beside = parts
    whole = Delivery(session_key=KEY, connection_id="k1", client_id="c1", counter=1, frame=frame)
    body = json.loads(encode_delivery(whole))
    return json.dumps(body | {"frame": body["frame"] | in_frame} | beside)


BODIES = (
    st.tuples(st.sampled_from(FRAMES), st.just({}), OF_DELIVERY).map(changed)
    | st.tuples(st.sampled_from(FRAMES), OF_FRAME, st.just({})).map(changed)
    | JSON.map(json.dumps)
    | st.text(max_size=100)
    | st.sampled_from(["", "[" * 20_000, "x" * 50_000])
)
RECORDS = st.lists(st.tuples(BODIES, st.integers(1, 7), st.dictionaries(st.text(max_size=9), JSON)), max_size=3)


class Open(World):
    """World in which every client belongs to every session."""

    def clients(self, _: str) -> list[ClientAddress]:
        return list(self.addresses.values())


class Queue:
    """Hides messages, or gives them back."""

    def change_message_visibility(self, **_: Any) -> None:
        pass


class Function:
    """The text function, warm, with a session that goes on."""

    def __init__(self) -> None:
        self.world = Open()
        self._said = count(1)
        self.process = handler.runner().run(self._process())

    async def _process(self) -> Process:
        return Process(self.world)

    def invoke(self, *records: tuple[str, int, dict[str, Any]]) -> list[str]:
        """Invoke it; which messages are to come again."""
        event = {"Records": [self._record(number, *record) for number, record in enumerate(records)]}
        answer = handler.handler(event, Context())
        assert answer.keys() == {"batchItemFailures"}
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    @staticmethod
    def _record(number: int, body: str, tries: int, more: dict[str, Any]) -> dict[str, Any]:
        attributes = {"ApproximateReceiveCount": str(tries)}
        return {
            **more,
            "messageId": f"m-{number}",
            "receiptHandle": "r",
            "body": body,
            "attributes": attributes,
        }

    def goes_on(self) -> None:
        """A text is answered, in the session that all the others are about."""
        before, seq = len(self.world.frames("well")), next(self._said)
        frame = TextInput(text="hello", seq=seq)
        said = Delivery(session_key=KEY, connection_id="well", client_id="well", counter=1, frame=frame)
        assert self.invoke((encode_delivery(said).decode(), 1, {})) == []
        kinds = [type(frame).__name__ for frame in self.world.frames("well")[before:]]
        assert kinds[0] == "Ready"
        assert kinds[-1] == "TextOutput"


@pytest.fixture
def function(monkeypatch) -> Iterator[Function]:
    made = Function()
    monkeypatch.setattr(handler, "turn_runner", lambda: made.process.turns)
    monkeypatch.setattr(handler, "queue", Queue)
    monkeypatch.setattr(handler, "environment", lambda: read_environment(TurnEnvironment, VARIABLES))
    yield made
    made.process.crash()
    handler.runner().close()
    handler.runner.cache_clear()


def is_readable(body: str) -> bool:
    try:
        decode_delivery(body.encode())
    except FrameError:
        return False
    return True


@pytest.mark.slow
@settings(
    max_examples=100,
    deadline=timedelta(seconds=CALL_SECONDS),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(records=RECORDS)
def test_any_message_is_a_turn_or_reported_as_failed(function, records):
    failed = function.invoke(*records)
    assert set(failed) <= {f"m-{number}" for number in range(len(records))}
    for number, (body, _, _) in enumerate(records):
        assert is_readable(body) or f"m-{number}" in failed
    function.goes_on()
