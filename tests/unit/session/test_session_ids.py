"""Session ids as people have them: each has a name of its own in storage, and is shown as it was given."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strands import Agent

from segue import GuardedFileSessionManager, GuardedS3SessionManager, SessionExists, SessionNotFound
from segue.admin.fork import create, fork
from segue.clock import SystemClock
from segue.ids import MAX_NAME, checked_key, session_id_of, session_key, session_name, shown
from segue.journal.keys import MAX_KEY_BYTES, ObjectKeys
from segue.journal.reader import read_unheld
from segue.lease.item import GuardItem, TailEntry
from segue.session.runtime import Runtime
from tests.support.fake_model import FakeModel
from tests.support.stage import Stage

Sessions = Callable[..., Any]

AS_PEOPLE_HAVE_THEM = {
    "user@example.com": "user=40example.com",
    "+14155550123": "=2B14155550123",
    "us-east-1:0f8b3c1e-5d0a-4a6e-9a43-0c9e3c9f4b11": "us-east-1=3A0f8b3c1e-5d0a-4a6e-9a43-0c9e3c9f4b11",
    "19:meeting_Mjdh+ZjQ=@thread.v2": "19=3Ameeting_Mjdh=2BZjQ=3D=40thread.v2",
    "Zoë": "Zo=C3=AB",
    "a b": "a=20b",
    "a=40b": "a=3D40b",
    "a%40b": "a=2540b",
    "\\\\host": "=5C=5Chost",
    "~writing-x": "=7Ewriting-x",
    "👩\u200d🚀": "=F0=9F=91=A9=E2=80=8D=F0=9F=9A=80",
}

VALID_BEFORE = re.compile(r"[A-Za-z0-9._-]{1,128}")

ids = st.text(min_size=1, max_size=40).filter(
    lambda text: not re.search("[/\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text)
)
look_alikes = st.text("aA=%40+~.ée\u0301Kk\u212a@", min_size=1, max_size=6)
"""Of what an encoding could take one for another: its own mark, digits that follow it, cases, what normalises."""
both = (ids | look_alikes).filter(lambda text: text not in {".", ".."})


@pytest.mark.parametrize(("given_id", "name"), AS_PEOPLE_HAVE_THEM.items())
def test_an_id_is_encoded_for_keys_and_shown_as_given(memory_sessions: Sessions, given_id: str, name: str) -> None:
    manager = memory_sessions(given_id, principal="alice")

    assert manager.session_id == given_id
    assert manager.session_key == f"alice/{name}"
    assert shown(manager.session_key) == f"alice/{given_id}"


@pytest.mark.slow
@given(both)
@example("=")
@example("=3D")
def test_a_name_is_read_back_as_its_id(given_id: str) -> None:
    name = session_name(given_id)

    assert session_id_of(name) == given_id
    assert re.fullmatch("[A-Za-z0-9._=-]+", name)
    assert name not in {".", ".."}


@pytest.mark.slow
@given(both, both)
@example("a@", "a=40")
@example("é", "e\u0301")
@example("K", "\u212a")
def test_no_two_ids_meet(one: str, other: str) -> None:
    if one == other:
        return
    names = session_name(one), session_name(other)

    assert len(set(names)) == 2
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert len({unicodedata.normalize(form, name) for name in names}) == 2
    if len({name.lower() for name in names}) == 1:  # where letters are not told apart, nothing but they differ
        assert len(one) == len(other)
        assert all(a == b or (a.isascii() and a.lower() == b.lower()) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
@given(st.from_regex(VALID_BEFORE, fullmatch=True).filter(lambda text: text not in {".", ".."}), both)
def test_an_id_that_was_valid_before_keeps_its_name_and_meets_no_other(before: str, other: str) -> None:
    assert session_name(before) == before
    assert other == before or session_name(other) != before


@pytest.mark.slow
@given(st.text(max_size=30) | st.text("=%4aA0/.", max_size=8))
def test_a_name_that_encodes_no_id_is_refused(name: str) -> None:
    try:
        found = session_id_of(name)
    except ValueError:
        assert shown(f"alice/{name}") == f"alice/{name}"
        with pytest.raises(ValueError, match=r"session_key\(principal, session_id\)"):
            checked_key(f"alice/{name}")
    else:
        assert session_name(found) == name
        assert checked_key(f"alice/{name}") == session_key("alice", found)


@pytest.mark.parametrize("letter", ["x", "@", "é", "👩"])
def test_the_limit_is_of_what_is_stored(memory_sessions: Sessions, letter: str) -> None:
    most = MAX_NAME // len(session_name(letter))

    assert memory_sessions(letter * most).session_id == letter * most
    with pytest.raises(ValueError, match=f"of {MAX_NAME} characters"):
        memory_sessions(letter * (most + 1))


def test_the_longest_id_fits_into_a_file_name(tmp_path: Path) -> None:
    for letter in "x@":
        manager = GuardedFileSessionManager(letter * (MAX_NAME // len(session_name(letter))), tmp_path)
        manager.open_sync()
        manager.close_sync()

    assert max(len(path.name) for path in tmp_path.rglob("*.lock")) == 255


@pytest.mark.slow
def test_a_prefix_that_leaves_no_room_for_the_objects_of_a_session_is_refused(stage: Stage) -> None:
    longest = "p" * 128, "@" * (MAX_NAME // 3)
    with pytest.raises(ValueError, match=f"prefix of .* {MAX_KEY_BYTES} bytes"):
        GuardedS3SessionManager(longest[1], **{**stage.options, "prefix": "x" * 600}, principal=longest[0])
    with pytest.raises(ValueError, match="prefix of"):
        GuardedS3SessionManager("a", **{**stage.options, "prefix": "é" * 450})
    taken = GuardedS3SessionManager(longest[1], **{**stage.options, "prefix": "x" * 500}, principal=longest[0])

    born = "20260101T000000Z-" + "0" * 32
    segment = ObjectKeys(taken._prefix, taken.session_key, born).segment(TailEntry(10**20 - 1, 10**20 - 1, "c" * 22))
    assert len(segment.encode()) <= MAX_KEY_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("given_id", AS_PEOPLE_HAVE_THEM)
@pytest.mark.parametrize("kind", ["s3", "file"])
def test_a_session_of_any_id_is_kept_and_found_again(
    s3_sessions: Sessions, file_sessions: Sessions, kind: str, given_id: str
) -> None:
    sessions = {"s3": s3_sessions, "file": file_sessions}[kind]
    for _ in range(2):
        manager = sessions(given_id, principal="alice")
        agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
        agent("hi")
        manager.close_sync()
    assert len(agent.messages) == 4

    assert Runtime.shared().run_sync(_keys(manager)) == [f"alice/{session_name(given_id)}"]
    with sessions_of_another(sessions, given_id) as other:
        assert other.history.agents == {}


def sessions_of_another(sessions: Sessions, given_id: str) -> Any:
    from contextlib import contextmanager

    @contextmanager
    def opened() -> Any:
        other = sessions(given_id, principal="bob")
        other.open_sync()
        yield other
        other.close_sync()

    return opened()


async def _keys(manager: Any) -> list[str]:
    return await (await manager._stores()).guard.keys("alice/")  # type: ignore[no-any-return]


async def test_fork_and_create_take_encoded_keys_only(storage: Any, memory_sessions: Sessions) -> None:
    source, target = session_key("alice", "user@example.com"), session_key("alice", "+1 copy")
    async with memory_sessions("user@example.com", principal="alice"):
        pass
    stores, clock = storage.stores(), SystemClock()

    item = await fork(stores, source, target, clock)

    assert isinstance(item, GuardItem)
    assert item.session_key == "alice/=2B1=20copy"
    with pytest.raises(SessionExists, match=r"'alice/\+1 copy' exists already"):
        await fork(stores, source, target, clock)
    with pytest.raises(SessionNotFound, match=r"no session 'alice/missing@example\.com'") as missing:
        await read_unheld(stores.guard, stores.objects, "", session_key("alice", "missing@example.com"), clock)
    assert missing.value.session_key == "alice/missing=40example.com"
    for wrong in ("alice/+1", "alice/a=4", "alice/a=3a", "alice/", "al ice/a"):
        with pytest.raises(ValueError, match="not valid"):
            await fork(stores, wrong, target, clock)
        with pytest.raises(ValueError, match="not valid"):
            await create(stores, wrong, [], clock)
