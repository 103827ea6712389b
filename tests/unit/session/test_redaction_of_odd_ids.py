"""A message is redacted whatever its tracking id is made of, and whatever else its record holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strands.bidi import BidiAgent

import segue.journal.blocks
import segue.journal.records
from segue.journal.blocks import unpack
from segue.journal.records import Record, decode_record, encode_record
from segue.journal.redaction import record_without, redacted, replacement_of
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import ScriptedModel

Sessions = Callable[..., Any]

SECRET = "the number is 4111"
ODD_IDS = ['quo"te', "tab\t", "back\\slash", "line\nbreak", "\u2028", "\x00", "ümlaut", "\U0001f600", "", "a b", "-"]


def message(tracking_id: Any, text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": text}], "tracking_id": tracking_id, **more}


def holding(storage: MemoryStorage) -> list[str]:
    return [key for key, body in storage.objects.objects.items() if SECRET.encode() in unpack(body)]


@pytest.mark.slow
@pytest.mark.parametrize("pages", [256, 2], ids=["in the tail", "in pages"])
@pytest.mark.parametrize("tracking_id", [*ODD_IDS, 5, True, "half \ud800"])
async def test_the_content_is_in_no_object_whatever_the_id_is(
    memory_sessions: Sessions,
    storage: MemoryStorage,
    monkeypatch: pytest.MonkeyPatch,
    tracking_id: Any,
    pages: int,
) -> None:
    monkeypatch.setattr(segue.journal.blocks, "PAGE_RECORDS", pages)
    manager = memory_sessions()
    await manager.open()
    first = [message(tracking_id, SECRET), message("another", "stays")]
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager, messages=first)  # type: ignore[arg-type]
    await agent.start()
    for number in range(5):
        await agent.send(f"after {number}")
        await manager.flush()
    assert holding(storage)

    await manager.redact(str(tracking_id))

    assert not holding(storage)
    await agent.stop()
    again = memory_sessions()
    await again.open()
    restored = BidiAgent(model=ScriptedModel(), session_manager=again)
    assert [m["content"][0]["text"] for m in restored.messages][:2] == ["[redacted]", "stays"]


async def test_a_redaction_with_values_that_need_escapes_leaves_nothing(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    odd = {"custom": {"odd": (float("nan"), {1: b"\x00"}), "looks": {"__bytes_encoded__": True, "data": 5}}}
    manager = memory_sessions()
    await manager.open()
    first = [message("m", SECRET, metadata=odd)]
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager, messages=first)  # type: ignore[arg-type]
    await manager.flush()

    await manager.redact("m")

    assert not holding(storage)
    await manager.close()
    again = memory_sessions()
    await again.open()
    (restored,) = BidiAgent(model=ScriptedModel(), session_manager=again).messages
    assert repr(restored) == repr(agent.messages[0])


IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(ODD_IDS)


@pytest.mark.slow
@given(IDS, IDS, st.booleans())
def test_a_redacted_record_holds_nothing_of_the_content_and_others_stay(one: str, other: str, inside: bool) -> None:
    kept = message(other, "kept")
    data = {"message": message(one, SECRET)}
    secret = Record(kind="internal", data={"deep": [(message(one, SECRET),), kept]}) if inside else Record(data=data)
    replacements = replacement_of(Record(kind="redact", data={"message": message(one, "[redacted]")}))

    swept = redacted(encode_record(secret), replacements)

    assert SECRET.encode() not in swept
    assert decode_record(swept) == record_without(secret, replacements)
    assert redacted(swept, replacements) == swept
    beside = encode_record(Record(data={"message": kept}))
    assert (redacted(beside, replacements) == beside) == (one != other)


def test_a_redaction_of_the_empty_id_leaves_values_without_an_id() -> None:
    internal = Record(kind="internal", data={"context": {"content": "of something else"}})

    assert record_without(internal, {"": message("", "[redacted]")}) is internal


def test_a_record_that_cannot_be_decoded_keeps_nothing_that_may_be_redacted() -> None:
    damaged = encode_record(Record(data={"message": message('quo"te', SECRET)})).replace(b'"user"', b'"\xff"')

    swept = redacted(damaged, {'quo"te': message('quo"te', "[redacted]")})

    assert SECRET.encode() not in swept
    assert decode_record(swept).kind == "unreadable"
    assert redacted(damaged, {"another": message("another", "[redacted]")}) == damaged


def test_a_swept_record_is_written_without_escapes_if_it_had_none() -> None:
    """Its page may be one of a session whose schema lets releases in that do not know of escapes."""
    tree = {"message": message("m", SECRET), "looks": {"__bytes_encoded__": True, "data": 5}}
    body = b'{"data":' + segue.journal.records._encode(tree) + b"}"

    swept = redacted(body, {"m": message("m", "[redacted]")})

    assert swept == b'{"data":' + segue.journal.records._encode({**tree, "message": message("m", "[redacted]")}) + b"}"
