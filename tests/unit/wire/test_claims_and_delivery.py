"""The bodies that travel inside: claims in the queue, frames posted to a worker."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs
from msgspec.json import decode as json_decode

from segue.wire.claims import (
    Claim,
    ClaimError,
    ClientAddress,
    DirectAddress,
    Prepared,
    decode_claim,
    decode_prepared,
    encode_claim,
    encode_prepared,
)
from segue.wire.delivery import (
    MAX_DELIVERY_BYTES,
    Delivery,
    Refusal,
    decode_delivery,
    decode_refusal,
    encode_delivery,
    encode_refusal,
)
from segue.wire.frames import MAX_FRAME_BYTES, FrameError, TextInput, encode_frame

CLAIM = Claim(
    session_key="p/s",
    session_id="s",
    principal="p",
    reason="no-holder",
    clients=(ClientAddress(client_id="c", connection_id="abc=", counter=2),),
)
DELIVERY = Delivery(
    session_key="p/s", connection_id="abc=", client_id="c", counter=2, frame=TextInput(text="hé", seq=1)
)


def test_a_claim_survives_the_queue():
    assert decode_claim(encode_claim(CLAIM)) == CLAIM
    assert json.loads(encode_claim(CLAIM)) == {
        "session_key": "p/s",
        "session_id": "s",
        "principal": "p",
        "reason": "no-holder",
        "clients": [{"client_id": "c", "connection_id": "abc=", "counter": 2}],
    }


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"session_key":"p/s"}', b"\xff", "[" * 100_000, "\ud800"])
def test_a_malformed_claim_is_refused(body):
    with pytest.raises(ClaimError):
        decode_claim(body)


def test_a_claim_with_an_unknown_reason_is_refused():
    with pytest.raises(ClaimError):
        decode_claim(encode_claim(CLAIM).replace("no-holder", "boredom"))


def test_a_delivery_survives_the_request():
    assert decode_delivery(encode_delivery(DELIVERY)) == DELIVERY


def test_the_largest_frame_fits_into_a_delivery():
    overhead = len(encode_frame(TextInput(text="x", seq=2**53 - 1))) - 1
    frame = TextInput(text="x" * (MAX_FRAME_BYTES - overhead), seq=2**53 - 1)
    widest = Delivery(
        session_key="p" * 128 + "/" + "s" * 128,
        connection_id="c" * 128,
        client_id="c" * 64,
        counter=2**53 - 1,
        frame=frame,
    )
    assert decode_delivery(encode_delivery(widest)) == widest


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_json"),
        (b"\xff", "bad_json"),
        (b'{"a":' * 6000, "bad_json"),
        (b"{}", "bad_frame"),
        (encode_delivery(DELIVERY).replace(b'"text"', b'"song"'), "bad_frame"),
        (b" " * (MAX_DELIVERY_BYTES + 1), "oversize"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_malformed_delivery_is_refused_with_its_code(body, code):
    with pytest.raises(FrameError) as caught:
        decode_delivery(body)
    assert caught.value.code == code


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_body_is_a_delivery_or_refused(body):
    with pytest.raises(FrameError):
        decode_delivery(body)


def test_refusals_survive_the_answer():
    assert decode_refusal(encode_refusal("moved")) == Refusal(error="moved")
    assert decode_refusal(encode_refusal("beyond_window", "too far")) == Refusal(
        error="beyond_window", message="too far"
    )
    for other in (b"", b"<html>", b'{"detail":"no"}', b"\xff"):
        assert decode_refusal(other) is None


SECRET = "5c1f0e8a9b"
DIRECT = DirectAddress(endpoint="http://10.0.0.7:8080", socket="s1", secret=SECRET)


def test_a_direct_address_travels_with_claim_and_delivery():
    client = structs.replace(CLAIM.clients[0], direct=DIRECT)
    claim = structs.replace(CLAIM, clients=(client,))
    delivery = structs.replace(DELIVERY, direct=DIRECT)

    assert decode_claim(encode_claim(claim)) == claim
    assert decode_delivery(encode_delivery(delivery)) == delivery


def test_the_secret_of_a_socket_is_in_no_text_that_a_log_could_have():
    claim = structs.replace(CLAIM, clients=(structs.replace(CLAIM.clients[0], direct=DIRECT),))

    for text in (repr(DIRECT), str(DIRECT), repr(claim), f"{structs.replace(DELIVERY, direct=DIRECT)}"):
        assert SECRET not in text
        assert "http://10.0.0.7:8080" in text
    assert SECRET not in str(list(DIRECT.__rich_repr__()))


class OldAddress(Struct, frozen=True, kw_only=True):
    client_id: str
    connection_id: str
    counter: int


class OldClaim(Struct, frozen=True, kw_only=True):
    session_key: str
    clients: tuple[OldAddress, ...] = ()


def test_a_release_before_reads_a_claim_with_a_direct_address():
    claim = structs.replace(CLAIM, clients=(structs.replace(CLAIM.clients[0], direct=DIRECT),))
    old = json_decode(encode_claim(claim), type=OldClaim)

    assert old.clients == (OldAddress(client_id="c", connection_id="abc=", counter=2),)


def test_a_release_before_reads_a_delivery_with_a_direct_address():
    class OldDelivery(Struct, frozen=True, kw_only=True):
        session_key: str
        connection_id: str
        client_id: str
        counter: int
        frame: TextInput
        history: bool = False

    old = json_decode(encode_delivery(structs.replace(DELIVERY, direct=DIRECT)), type=OldDelivery)

    assert old == OldDelivery(
        session_key="p/s", connection_id="abc=", client_id="c", counter=2, frame=TextInput(text="hé", seq=1)
    )


def test_addresses_of_a_release_before_and_of_one_to_come_are_read():
    """Those before have no ``direct``; of those to come what is not known is left out."""
    before = json.loads(encode_claim(CLAIM))
    assert decode_claim(json.dumps(before)).clients[0].direct is None

    at = {"endpoint": DIRECT.endpoint, "socket": "s1", "secret": SECRET, "codec": "opus"}
    client = {**before["clients"][0], "direct": at, "relay": {"by": "another way"}}
    found = decode_claim(json.dumps({**before, "clients": [client], "priority": 3}))
    assert found.clients == (structs.replace(CLAIM.clients[0], direct=DIRECT),)


def test_a_promise_survives_the_answer_and_one_of_the_release_before_has_no_additions():
    assert decode_prepared(encode_prepared(Prepared(head=41, additions=True))) == Prepared(head=41, additions=True)
    assert decode_prepared(b'{"head":41}') == Prepared(head=41, additions=False)
