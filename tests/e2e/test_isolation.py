"""Attempts at another principal's sessions, on the deployed stack, over a WebSocket; docs/isolation.md lists them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import boto3
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from gateway.environment import SESSIONS_PER_PRINCIPAL
from local.deployment.issuer import Issuer, principal
from local.settings import Settings
from segue.client import Client
from segue.wire.delivery import FRAMES_PATH, ROUTE_TOKEN_HEADER
from segue.wire.frames import MAX_FRAME_BYTES, Approval, Error, ServerFrame, TextOutput, Transcript
from tests.e2e.forged_tokens import REFUSED
from tests.support.local_stack import LocalStack
from tests.support.patient import PATIENT

SECONDS = 90.0

BY_THE_API, AT_THE_WORKERS = "websocket_url", "direct_url"
"""Ways in, by the fact that has the address."""

pytestmark = [pytest.mark.e2e, pytest.mark.emulator, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def stack(local_stack: LocalStack) -> dict[str, Any]:
    """The stack with both doors, deployed and running; where it is."""
    return local_stack.facts()


@pytest.fixture(params=[BY_THE_API, AT_THE_WORKERS])
def facts(stack: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    """The stack, entered by one of its doors."""
    return {**stack, "door": request.param, "websocket_url": stack[request.param]}


@pytest.fixture(scope="module")
def issuer(local_stack: LocalStack) -> Issuer:
    return Issuer(replace(Settings(), home=local_stack.home))


@pytest.fixture
def dynamodb(stack: dict[str, Any]) -> Any:
    return boto3.client("dynamodb", endpoint_url=stack["endpoint_url"])


# --- who is let in


@pytest.mark.parametrize("where", ["subprotocol", "query"])
@pytest.mark.parametrize("attempt", REFUSED)
async def test_a_caller_without_a_good_token_is_not_let_in(
    facts: dict[str, Any], issuer: Issuer, attempt: str, where: str
) -> None:
    token = REFUSED[attempt](issuer)
    url, offered = facts["websocket_url"], [Subprotocol("segue.v1")]
    if token is not None and where == "subprotocol":
        offered.append(Subprotocol(f"bearer.{token}"))
    elif token is not None:
        url += f"?token={token}"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, subprotocols=offered):
            pass
    assert refused.value.response.status_code == 403
    if facts["door"] == AT_THE_WORKERS:
        assert not refused.value.response.body, "a refusal at a worker's socket gives no reason"
        return
    told = json.loads(refused.value.response.body or b"{}")
    assert set(told) == {"message", "connectionId", "requestId"}, "API Gateway's own words and nothing else"
    assert "explicit deny" in told["message"]


# --- what one can reach who is let in


@asynccontextmanager
async def connected(facts: dict[str, Any], token: str) -> AsyncIterator[ClientConnection]:
    protocols = [Subprotocol("segue.v1"), Subprotocol(f"bearer.{token}")]
    async with connect(facts["websocket_url"], subprotocols=protocols, max_size=None, open_timeout=SECONDS) as socket:
        yield socket


async def answer(socket: ClientConnection, message: str | dict[str, Any]) -> dict[str, Any]:
    await socket.send(message if isinstance(message, str) else json.dumps(message))
    return await next_frame(socket)


async def next_frame(socket: ClientConnection) -> dict[str, Any]:
    """Return the next frame."""
    async with asyncio.timeout(SECONDS):
        told: Any = json.loads(await socket.recv())
    return told if isinstance(told, dict) else told[0]


async def greeted(socket: ClientConnection, said: dict[str, Any]) -> dict[str, Any]:
    """Say hello until it is answered: on a busy machine a worker may not take the session within the first."""
    told = await answer(socket, said)
    while told["type"] == "error" and told["retryable"]:
        told = await answer(socket, said)
    return told


def named(session: str, facts: dict[str, Any]) -> str:
    """A session of its own for each door."""
    return f"{session}-{facts['door']}"


def hello(session: str, **more: Any) -> dict[str, Any]:
    return {"type": "hello", "session": session, "client_id": "c", "connection": 1, **more}


async def asked(client: Client, text: str) -> str:
    """Say something; the answer that is shown."""
    await client.send_text(text)
    async with asyncio.timeout(SECONDS):
        async for frame in client.events():
            if isinstance(frame, Transcript) and frame.role == "assistant" and frame.final:
                return frame.text
    pytest.fail("the conversation ended")


async def test_the_same_id_of_another_principal_is_another_session(
    facts: dict[str, Any], issuer: Issuer, dynamodb: Any
) -> None:
    url, same = facts["websocket_url"], named("same", facts)
    async with Client(url, session=same, token=issuer.token("alice"), settings=PATIENT) as alice:
        assert "Alice" in await asked(alice, "My name is Alice")
        async with Client(url, session=same, token=issuer.token("bob"), settings=PATIENT) as bob:
            assert bob.ready is not None
            # His head counts records of the agent, as many as were committed by his last hello.
            assert bob.ready.history == 0
            assert "Alice" not in await asked(bob, "What's my name?")
            assert "Bob" in await asked(bob, "My name is Bob")
        assert "Alice" in await asked(alice, "What's my name?")
    keys = {f"{principal(name)}/{same}" for name in ("alice", "bob")}
    held = {
        key: dynamodb.get_item(TableName=facts["lock_table"], Key={"session_key": {"S": key}})["Item"]["born"]["S"]
        for key in keys
    }
    assert len(set(held.values())) == 2


async def heard(client: Client, kind: type[ServerFrame], status: str = "") -> Any:
    """The next frame of a kind that a client is shown."""
    async with asyncio.timeout(SECONDS):
        async for frame in client.events():
            if isinstance(frame, kind) and getattr(frame, "status", "") == status:
                return frame
    pytest.fail("the conversation ended")


@pytest.mark.parametrize("facts", [BY_THE_API], indirect=True)  # a voice worker asks for no approval
async def test_another_principals_answer_to_an_approval_is_refused(facts: dict[str, Any], issuer: Issuer) -> None:
    def client(name: str) -> Client:
        token = issuer.token(name)
        url = facts["websocket_url"]
        return Client(url, session="asked", modality="text", approvals=True, token=token, settings=PATIENT)

    async with client("alice") as alice, client("mallory") as mallory:
        await alice.send_text("Forget everything")
        approval = await heard(alice, Approval, "asked")
        await mallory.answer(approval, {request.id: True for request in approval.requests})
        assert (await heard(mallory, Error)).code == "approval_closed"
        assert mallory.approval is None

        await mallory.send_text("Forget everything")
        own = await heard(mallory, Approval, "asked")
        assert {request.id for request in own.requests}.isdisjoint(request.id for request in approval.requests)
        await mallory.answer(approval, {request.id: True for request in approval.requests})
        assert (await heard(mallory, Error)).code in {"approval_closed", "bad_answer"}

        still = alice.approval  # said again by another turn, it has less time left
        assert still is not None
        assert (still.record, still.requests) == (approval.record, approval.requests), "no client was told anything"
        await alice.answer(approval, {request.id: "no" for request in approval.requests})
        answered = await heard(alice, Approval, "answered")
        assert answered.of == approval.record
        assert "the user said no" in (await heard(alice, TextOutput)).text


ID_TRICKS = ["", ".", "..", "../x", "a/b", "/a", "a\\b", "ä", "\u202e", "a b", "a\n", "a\u0000", "a%2fb", "x" * 129]


async def test_invalid_ids_are_refused(facts: dict[str, Any], issuer: Issuer) -> None:
    other = principal("bob")
    async with connected(facts, issuer.token("alice")) as socket:
        for session in [*ID_TRICKS, f"{other}/same", f"../{other}/same"]:
            told = await answer(socket, hello(session))
            assert (told["type"], told["retryable"]) == ("error", False), session
            assert told["code"] in {"bad_session", "bad_frame"}, session
        for client_id in [*ID_TRICKS, "x" * 65]:
            if client_id in {".", ".."}:
                continue  # not part of a key by itself
            told = await answer(socket, hello("mine", client_id=client_id))
            assert told["code"] == "bad_frame", client_id
        told = await answer(socket, {"type": "text", "text": "hi", "seq": 1})
        assert told["code"] == "hello_first", "none of them bound the connection"


async def test_no_field_names_another_principal(facts: dict[str, Any], issuer: Issuer, dynamodb: Any) -> None:
    other = principal("bob")
    async with connected(facts, issuer.token("mallory")) as socket:
        claimed = {"principal": other, "session_key": f"{other}/same", "connection_id": "c", "authorizer": {}}
        told = await greeted(socket, hello(named("fields", facts), **claimed))
        assert (told["type"], told["history"]) == ("ready", 0)
    key = {"session_key": {"S": f"{principal('mallory')}/{named('fields', facts)}"}}
    item = dynamodb.get_item(TableName=facts["lock_table"], Key=key)["Item"]
    assert int(item["head"]["N"]) >= told["head"], "the session that answered is this principal's"


async def test_a_message_that_is_too_long_is_refused_and_the_connection_goes_on(
    facts: dict[str, Any], issuer: Issuer
) -> None:
    async with connected(facts, issuer.token("alice")) as socket:
        for size in (MAX_FRAME_BYTES, 120_000):
            told = await answer(socket, {"type": "text", "text": "x" * size, "seq": 1})
            assert (told["code"], told["retryable"]) == ("oversize", False)
        assert await answer(socket, {"type": "ping"}) == {"type": "pong"}


async def test_a_malformed_frame_gets_an_error_that_shows_no_internals(facts: dict[str, Any], issuer: Issuer) -> None:
    async with connected(facts, issuer.token("alice")) as socket:
        for message in ("{", "[]", "null", '{"type":"hello"}', hello("s", modality="x" * 32_000)):
            told = await answer(socket, message)
            assert told["type"] == "error"
            assert not {"Traceback", "gateway", "/"} & set(told["message"].split())


async def test_a_stale_route_token_is_refused(facts: dict[str, Any], issuer: Issuer, dynamodb: Any) -> None:
    url, route = facts["websocket_url"], named("route", facts)
    async with Client(url, session=route, token=issuer.token("alice"), settings=PATIENT):
        key = f"{principal('alice')}/{route}"
        item = dynamodb.get_item(TableName=facts["lock_table"], Key={"session_key": {"S": key}}, ConsistentRead=True)
        endpoint, token = (item["Item"][name]["S"] for name in ("endpoint", "route_token"))
        delivery = {
            "session_key": key,
            "connection_id": "c1",
            "client_id": "c",
            "counter": 1,
            "frame": {"type": "text", "text": "Not mine"},
        }
        async with aiohttp.ClientSession() as http:

            async def status(shown: str | None, **changes: str) -> int:
                headers = {} if shown is None else {ROUTE_TOKEN_HEADER: shown}
                posting = http.post(endpoint + FRAMES_PATH, json={**delivery, **changes}, headers=headers)
                async with posting as told:
                    return told.status

            # As if it were not here: who has not the token does not learn that it is.
            for stale in (None, "", token[:-1], token + "x", token.swapcase()):
                assert await status(stale) == 410
            # The right token of this session opens no other.
            other = f"{principal('bob')}/{route}"
            assert await status(token, session_key=other) == 410
            async with Client(url, session=route, token=issuer.token("bob"), settings=PATIENT) as bob:
                assert bob.ready is not None
                if _endpoint(dynamodb, facts, other) == endpoint:
                    assert await status(token, session_key=other) == 403


async def test_output_needs_the_secret_and_the_session_of_the_socket(
    stack: dict[str, Any], issuer: Issuer, dynamodb: Any
) -> None:
    """Another worker, or one that has learnt where workers are, writes into no socket but those of its own sessions."""
    facts = {"websocket_url": stack[AT_THE_WORKERS]}
    async with connected(facts, issuer.token("alice")) as socket:
        assert (await greeted(socket, hello("socket")))["type"] == "ready"
        key, other = (f"{principal(name)}/socket" for name in ("alice", "bob"))
        at = {"pk": {"S": f"session/{key}"}, "sk": {"S": "client/c"}}
        item = dynamodb.get_item(TableName=stack["connections_table"], Key=at, ConsistentRead=True)["Item"]
        endpoint, name, secret = (item["direct"]["M"][part]["S"] for part in ("endpoint", "socket", "secret"))
        async with aiohttp.ClientSession() as http:

            async def status(shown: str | None, session_key: str, name: str = name) -> int:
                headers = {"x-segue-session-key": session_key}
                headers |= {} if shown is None else {"x-segue-socket-secret": shown}
                forged = json.dumps({"type": "text", "text": "Not from your agent"})
                async with http.post(f"{endpoint}/sockets/{name}", data=forged, headers=headers) as told:
                    return told.status

            for wrong in (None, "", secret[:-1], secret + "x", secret.swapcase()):
                assert await status(wrong, key) == 403
            assert await status(secret, other) == 403
            assert await status(secret, key, name="f" * len(name)) == 410
        told = await answer(socket, {"type": "ping"})
        while told["type"] == "ready":  # of a hello that was repeated
            told = await next_frame(socket)
        assert told["type"] == "pong", "no forged output came before the pong"


def _endpoint(dynamodb: Any, facts: dict[str, Any], key: str) -> str:
    item = dynamodb.get_item(TableName=facts["lock_table"], Key={"session_key": {"S": key}}, ConsistentRead=True)
    return str(item["Item"]["endpoint"]["S"])


async def test_the_tokens_end_is_the_end_of_the_right_to_send(stack: dict[str, Any], issuer: Issuer) -> None:
    async def ends(door: str) -> None:
        facts, session = {"websocket_url": stack[door]}, f"ends-{door}"
        async with connected(facts, issuer.token("alice", 20)) as socket:
            assert (await greeted(socket, hello(session)))["type"] == "ready"
            told: dict[str, Any] = {}
            deadline = time.monotonic() + SECONDS
            while told.get("code") != "expired":
                assert time.monotonic() < deadline
                told = await answer(socket, hello(session))
                await asyncio.sleep(0.2)
            assert told["retryable"] is False
        async with connected(facts, issuer.token("alice")) as socket:
            assert (await greeted(socket, hello(session, connection=2)))["type"] == "ready"

    await asyncio.gather(ends(BY_THE_API), ends(AT_THE_WORKERS))


async def test_more_sessions_than_allowed_are_refused(facts: dict[str, Any], issuer: Issuer, dynamodb: Any) -> None:
    until = int(time.time()) + 600
    dynamodb.put_item(
        TableName=facts["connections_table"],
        Item={
            "pk": {"S": f"principal/{principal('greedy')}"},
            "sk": {"S": "sessions"},
            "revision": {"N": "1"},
            "open": {"M": {f"c{n}": {"S": f"{until} 1 c s{n}"} for n in range(SESSIONS_PER_PRINCIPAL)}},
            "expires_at": {"N": str(until)},
        },
    )
    async with connected(facts, issuer.token("greedy")) as socket:
        told = await answer(socket, hello(named("one-more", facts)))
        assert (told["code"], told["retryable"]) == ("too_many_sessions", True)
        assert (await answer(socket, {"type": "text", "text": "hi"}))["code"] == "hello_first"
    async with connected(facts, issuer.token("modest")) as socket:
        assert (await greeted(socket, hello(named("one-more", facts))))["type"] == "ready"
