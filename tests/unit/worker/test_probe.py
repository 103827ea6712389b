"""Evidence that a holder is dead or hung. What the network does is real sockets on loopback; what follows is not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial

import msgspec
import pytest
from aiohttp import web
from msgspec.structs import replace

from segue import SessionHeld
from segue.lease.item import GuardItem
from segue.wire.delivery import SEARCH_AFTER_SECONDS
from tests.support.waiting import eventually, promptly
from tests.unit.worker.stand_ins import claim
from worker.hosting.holder_probe import (
    ATTEMPTS,
    TAKEOVERS_A_MINUTE,
    HolderProbes,
    HolderState,
    holder_state,
)
from worker.hosting.peer_health import (
    ANSWER_TIMEOUT_SECONDS,
    CONNECT_TIMEOUT_SECONDS,
    LATE_SECONDS,
    STOOD_STILL_SECONDS,
    Health,
    NotAnswered,
    NotReached,
    ask_health,
    until_hung,
)
from worker.settings import Environment

DEAD, HUNG, LIVES, UNCERTAIN = HolderState.DEAD, HolderState.HUNG, HolderState.LIVES, HolderState.UNCERTAIN


def held(endpoint: str | None = "http://w1", holder: str = "w1", beat: int = 1) -> GuardItem:
    return GuardItem("default/talk", "b", 3, 2**40, acquire_id="a", holder=holder, endpoint=endpoint, beat=beat)


# --- on real sockets

patiently = partial(ask_health, answer_seconds=30.0, connect_seconds=30.0)
"""Asks also on a busy machine."""

impatiently = partial(ask_health, answer_seconds=0.05)


@pytest.fixture
async def answering():
    """Starts servers that answer /health with a status and a body."""
    runners = []

    async def start(body: str, status: int = 200) -> str:
        app = web.Application()

        async def health(_: web.Request) -> web.Response:
            return web.Response(text=body, status=status)

        app.router.add_get("/health", health)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """An address where connections are neither accepted nor refused: its queue is full, so SYNs are dropped."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"


async def test_a_refused_connection_is_death(unused_port):
    assert await holder_state(held(f"http://127.0.0.1:{unused_port}")) is DEAD


async def test_another_identity_is_death(answering):
    assert await holder_state(held(await answering('{"worker_id": "w2"}')), patiently) is DEAD


@pytest.mark.parametrize("status", [200, 503])
async def test_an_answer_with_the_holders_id_is_life_at_any_status(answering, status):
    assert await holder_state(held(await answering('{"worker_id": "w1"}', status)), patiently) is LIVES


@pytest.mark.parametrize("body", ["", "hello", "[]", "{}", '{"worker_id": 7}'])
async def test_an_answer_without_identity_proves_nothing(answering, body):
    assert await holder_state(held(await answering(body)), patiently) is UNCERTAIN


@pytest.mark.parametrize(
    ("stood_still", "state"),
    [("0", LIVES), ("400", UNCERTAIN), ("2000", UNCERTAIN), ("2100", HUNG), ('"long"', LIVES)],
)
async def test_a_loop_may_stand_still_for_two_seconds(answering, stood_still, state):
    answer = f'{{"worker_id": "w1", "stood_still_ms": {stood_still}}}'
    assert await holder_state(held(await answering(answer, 503)), patiently) is state


async def test_a_holder_that_accepts_and_never_answers_twice_is_hung():
    with socket.socket() as stopped:
        stopped.bind(("127.0.0.1", 0))
        stopped.listen(5)
        endpoint = f"http://127.0.0.1:{stopped.getsockname()[1]}"
        assert await holder_state(held(endpoint), impatiently, clock=lambda: 0.0) is HUNG


async def test_a_holder_whose_answer_trickles_is_hung():
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    assert await promptly(holder_state(held(endpoint), impatiently, clock=lambda: 0.0), 10) is HUNG
    server.close()


@pytest.mark.slow
async def test_two_connection_attempts_that_time_out_are_death():
    with deaf() as endpoint:
        started = asyncio.get_running_loop().time()
        assert await holder_state(held(endpoint), clock=lambda: 0.0) is DEAD
        taken = asyncio.get_running_loop().time() - started
    assert taken >= 0.45, "two attempts of 250 ms"


async def test_a_holder_without_an_address_cannot_be_judged():
    assert await holder_state(held(None)) is UNCERTAIN


async def test_an_unreachable_name_proves_nothing():
    assert await holder_state(held("http://no-such-host.invalid:80")) is UNCERTAIN


# --- what follows from answers


class Asked:
    """Answers a probe by script, the last answer over and over; each takes its time on the clock."""

    def __init__(self, *answers: Health | Exception, seconds: float = 0.0) -> None:
        self.now = 0.0
        self.endpoints: list[str] = []
        self._answers = list(answers)
        self._seconds = seconds

    def clock(self) -> float:
        return self.now

    async def __call__(self, endpoint: str) -> Health:
        self.endpoints.append(endpoint)
        self.now += self._seconds
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


WELL = Health("w1")


@pytest.mark.parametrize("first", [NotReached(), NotAnswered()], ids=repr)
async def test_one_attempt_without_an_answer_proves_nothing(first):
    ask = Asked(first, WELL)
    assert await holder_state(held(), ask) is LIVES
    assert ask.endpoints == ["http://w1"] * 2


@pytest.mark.parametrize("answers", [(NotReached(), NotAnswered()), (NotAnswered(), NotReached())], ids=repr)
async def test_an_unreachable_and_a_silent_attempt_are_a_hung_holder(answers):
    assert await holder_state(held(), Asked(*answers)) is HUNG


async def test_an_answer_that_breaks_off_proves_nothing():
    assert await holder_state(held(), Asked(ConnectionResetError())) is UNCERTAIN


@pytest.mark.parametrize("silence", [NotReached(), NotAnswered()], ids=repr)
async def test_a_prober_that_was_stopped_itself_proves_nothing(silence):
    """Its time-outs end when it goes on, and the answers may lie there unread."""
    limit = CONNECT_TIMEOUT_SECONDS + ANSWER_TIMEOUT_SECONDS
    within, beyond = (Asked(silence, seconds=limit + late) for late in (LATE_SECONDS / 2, LATE_SECONDS * 2))
    assert await holder_state(held(), within, within.clock) in {DEAD, HUNG}
    assert await holder_state(held(), beyond, beyond.clock) is UNCERTAIN


# --- what a claim does with it


def probe_of(ask: Asked, reason: str = "unreachable"):
    probes = HolderProbes(ask, ask.clock)
    return probes.for_claim(claim(reason=reason))


async def test_dead_and_hung_holders_are_taken_over():
    assert await probe_of(Asked(ConnectionRefusedError()))(held())
    assert await probe_of(Asked(NotAnswered()))(held())
    assert await probe_of(Asked(Health("w1", STOOD_STILL_SECONDS + 0.1)))(held())


async def test_a_holder_that_answers_and_renews_its_lease_ends_the_wait_of_a_claim_that_suspected_it():
    is_dead = probe_of(Asked(WELL))
    assert not await is_dead(held())
    assert not await is_dead(held()), "its process answers, which says nothing of this session yet"
    with pytest.raises(SessionHeld, match="w1"):
        await is_dead(held(beat=2))


@pytest.mark.parametrize("reason", ["unreachable", "handoff"])
async def test_a_holder_that_has_come_since_the_claim_and_answers_ends_the_wait(reason):
    is_dead = probe_of(Asked(WELL), reason)
    assert not await is_dead(held())
    with pytest.raises(SessionHeld, match="w1"):
        await is_dead(replace(held(), acquire_id="another"))


async def test_a_suspicion_is_of_one_holder_and_not_of_the_next():
    """Several workers may suspect the same holder: they must not take the session from each other in turn."""
    ask = Asked(NotAnswered())
    probes = HolderProbes(ask, ask.clock)
    is_dead = probes.for_claim(claim("talk", reason="unreachable"))
    assert await is_dead(held())
    new = replace(held(), acquire_id="another")
    assert not await is_dead(new)
    assert not await is_dead(replace(new, beat=2)), "the holder has renewed its lease"
    probes.suspect("default/talk")
    assert await is_dead(replace(new, beat=3)), "the holder has not answered either"


async def test_a_claim_of_a_predecessor_waits_for_it():
    """It lives until it has released."""
    is_dead = probe_of(Asked(WELL), "handoff")
    assert [await is_dead(held(beat=beat)) for beat in (1, 2, 3)] == [False] * 3


async def test_a_holder_that_answers_has_acquired_what_was_free_when_it_was_claimed():
    with pytest.raises(SessionHeld, match="w1"):
        await probe_of(Asked(WELL), "no-holder")(held())


@pytest.mark.parametrize("reason", ["handoff", "no-holder"])
async def test_a_claim_that_waits_is_told_that_the_holder_does_not_answer(reason):
    ask = Asked(NotAnswered())
    probes = HolderProbes(ask, ask.clock)
    is_dead = probes.for_claim(claim("talk", reason=reason))
    assert not await is_dead(held()), "a predecessor that is about to release may be slow"
    probes.suspect("default/another")
    assert not await is_dead(held(beat=2))
    probes.suspect("default/talk")
    assert await is_dead(held(beat=3))


async def test_other_claims_need_the_evidence_twice_without_a_renewal_in_between():
    """A predecessor that is about to release may be slow."""
    is_dead = probe_of(Asked(NotAnswered()), "handoff")
    assert [await is_dead(held(beat=beat)) for beat in (1, 2, 2)] == [False, False, True]


async def test_a_holder_whose_loop_has_just_stood_still_is_waited_for():
    is_dead = probe_of(Asked(WELL, Health("w1", 0.3)))
    assert [await is_dead(held(beat=beat)) for beat in (1, 2, 3)] == [False] * 3


async def test_takeovers_from_one_hung_holder_are_bounded():
    ask = Asked(NotAnswered())
    probes = HolderProbes(ask, ask.clock, takeovers_a_minute=2)

    async def taken(holder: str) -> bool:
        return await probes.for_claim(claim(reason="unreachable"))(held(holder=holder))

    assert [await taken("w1") for _ in range(3)] == [True, True, False]
    assert await taken("w2"), "another holder is counted by itself"
    ask.now += 59.0
    assert not await taken("w1")
    ask.now += 1.0
    assert [await taken("w1") for _ in range(3)] == [True, True, False]


def test_the_evidence_takes_half_of_the_time_for_a_takeover_and_a_hung_worker_loses_all_its_sessions_once() -> None:
    """Three seconds after the first frame that finds a holder hung, its successor has to say ``ready``."""
    assert SEARCH_AFTER_SECONDS + ATTEMPTS * ANSWER_TIMEOUT_SECONDS <= 1.5
    capacity = {each.name: each.default for each in msgspec.structs.fields(Environment)}["capacity"]
    assert capacity <= TAKEOVERS_A_MINUTE <= 2 * capacity


async def test_takeovers_from_a_dead_holder_are_not_bounded():
    ask = Asked(ConnectionRefusedError())
    probes = HolderProbes(ask, ask.clock, takeovers_a_minute=1)
    assert [await probes.for_claim(claim())(held()) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize("silence", [NotReached(), NotAnswered(), Health("w1", 2.5)], ids=repr)
async def test_a_worker_that_is_asked_for_something_hangs_after_three_silent_looks_in_a_row(silence):
    answers = (silence, silence, WELL, silence, OSError(), silence, Health("w1", 0.5), silence, silence, silence)
    ask = Asked(*answers)
    await promptly(until_hung("http://w1", ask, ask.clock, look_seconds=0.0))
    assert len(ask.endpoints) == len(answers)


async def test_looks_of_a_process_that_stood_still_itself_prove_nothing():
    late = CONNECT_TIMEOUT_SECONDS + ANSWER_TIMEOUT_SECONDS + LATE_SECONDS * 2
    ask = Asked(NotAnswered(), seconds=late)
    looking = asyncio.create_task(until_hung("http://w1", ask, ask.clock, look_seconds=0.0))
    await eventually(lambda: len(ask.endpoints) > 4)
    assert not looking.done()
    looking.cancel()
