"""Claims that are posted to a worker: taken in the background, refused without room."""

from __future__ import annotations

from aiohttp import ClientSession

from segue.wire.claims import CLAIMS_PATH, CLAIMS_TOKEN_HEADER, encode_claim
from tests.support.memory_manager import Latch
from tests.support.waiting import eventually
from tests.unit.worker.handoffs import posted
from tests.unit.worker.stand_ins import claim


async def test_a_posted_claim_is_taken_and_answered_at_once(world, new):
    world.storage.before = latch = Latch("acquire")
    async with ClientSession() as http:
        assert await posted(http, new, claim(), token="wrong") == 403
        assert await posted(http, new, claim(), token="") == 403
        assert await posted(http, new, claim()) == 202
        async with http.post(
            new.endpoint + CLAIMS_PATH, data=b"{}", headers={CLAIMS_TOKEN_HEADER: new.token}
        ) as answer:
            assert answer.status == 400
    await latch.reached.wait()
    assert new.session is None
    latch.go.set()
    await eventually(lambda: new.session and new.session.open)


async def test_the_same_claim_from_the_queue_and_posted_opens_the_session_once(world, new):
    new.claims.start()
    async with ClientSession() as http:
        new.queue.add(encode_claim(claim()))
        assert await posted(http, new, claim()) == 202
        assert await posted(http, new, claim()) == 202
    await eventually(lambda: new.session and new.session.open and new.queue.deleted)
    assert len(world.models) == 1


async def test_a_posted_claim_that_fails_goes_into_the_queue(world, new):
    world.fail_start = ConnectionError("no model today")
    async with ClientSession() as http:
        assert await posted(http, new, claim(), from_worker="old") == 202
    await eventually(lambda: new.queue.sent)
    assert new.queue.sent == [claim()]


async def test_a_claim_without_room_is_refused(world, new):
    new.host._capacity = 1
    async with ClientSession() as http:
        assert await posted(http, new, claim("first")) == 202
        await eventually(lambda: new.host.find("default/first"))
        assert await posted(http, new, claim("second")) == 409
        assert await posted(http, new, claim("second"), prepare=True) == 409
        assert await posted(http, new, claim("first")) == 202, "the session is here already"
