"""Names: what an id may be, what ``segue`` exports, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import segue
from segue import LeaseSettings, errors
from segue.ids import session_key

Sessions = Callable[..., Any]

BAD_IDS = ["", ".", "..", "a/b", "../x", "/", "a\n", "a\x00b", "a\x7f", "a\x85", "a\u2028b", "\u202ea", "\ud800"]
BAD_PRINCIPALS = [*BAD_IDS, "a b", "ä", "x" * 129, "a%2fb", "a\\b", "user@example.com", "a=40b"]
GOOD_IDS = ["a", "user_123", "A.b-c_9", "...", "x" * 128, "-", "2026-01-01T00.00"]


@pytest.mark.parametrize("bad", BAD_IDS)
def test_an_id_that_could_reach_another_session_is_refused(memory_sessions: Sessions, bad: str) -> None:
    with pytest.raises(ValueError, match="session id"):
        memory_sessions(bad)


@pytest.mark.parametrize("bad", BAD_PRINCIPALS)
def test_a_principal_keeps_its_characters(memory_sessions: Sessions, bad: str) -> None:
    with pytest.raises(ValueError, match="principal"):
        memory_sessions("fine", principal=bad)


@pytest.mark.parametrize("bad", [None, 7, b"bytes"])
def test_an_id_that_is_no_string_is_refused(bad: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        session_key("default", bad)


@pytest.mark.parametrize("good", GOOD_IDS)
def test_an_id_that_is_safe_in_keys_is_taken(memory_sessions: Sessions, good: str) -> None:
    manager = memory_sessions(good, principal=good)

    assert manager.session_key == f"{good}/{good}"
    assert manager.session_id == good


@pytest.mark.parametrize(
    "options",
    [
        {"durability": "maybe"},
        {"retention_days": 0},
        {"retention_days": 1.5},
        {"acquire_timeout": -1.0},
        {"acquire_timeout": float("nan")},
        {"acquire_timeout": "soon"},
        {"holder": 4711},
        {"holder": None},
        {"endpoint": 8080},
        {"max_messages": -1},
        {"max_messages": "5"},
        {"max_messages": True},
        {"max_bytes": -1},
        {"max_bytes": 1e6},
    ],
    ids=str,
)
def test_options_that_cannot_work_are_refused(memory_sessions: Sessions, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        memory_sessions(**options)


@pytest.mark.parametrize(
    ("duration", "heartbeat", "margin"), [(10, 5, 1), (10, 0, 1), (10, 3, 0), (1, 3, 1), (10, -1, 1), (10, 3, 9)]
)
def test_a_lease_that_a_healthy_holder_would_lose_is_refused(duration: float, heartbeat: float, margin: float) -> None:
    with pytest.raises(ValueError, match="heartbeat"):
        LeaseSettings(duration=duration, heartbeat=heartbeat, margin=margin)


@pytest.mark.parametrize("duration", [float("inf"), 1e300, 25 * 86_400])
def test_a_lease_that_would_never_end_is_refused(duration: float) -> None:
    with pytest.raises(ValueError, match="24 days"):
        LeaseSettings(duration=duration)


@pytest.mark.parametrize("days", [10**6, 10**9, sys.maxsize])
def test_a_session_may_be_kept_for_ever(memory_sessions: Sessions, days: int) -> None:
    for _ in range(2):
        with memory_sessions(retention_days=days) as manager:
            manager.record_input("client", [0])
            manager.flush_sync()


def test_segue_exports_its_public_names() -> None:
    assert {
        "GuardedFileSessionManager",
        "GuardedS3SessionManager",
        "JournalCorrupt",
        "Lease",
        "LeaseSettings",
        "RecordTooLarge",
        "SegueError",
        "SessionExists",
        "SessionFenced",
        "SessionHeld",
        "SessionNotFound",
        "StorageRefused",
        "StorageUnavailable",
        "ValueRefused",
    } <= set(segue.__all__)
    assert sorted(segue.__all__) == list(segue.__all__)
    for name in segue.__all__:
        assert getattr(segue, name) is not None


def test_an_unknown_name_of_the_package_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Guarded"):
        _ = segue.GuardedNothing


def test_every_error_is_in_the_tree_and_says_what_to_do() -> None:
    examples = {
        errors.SessionHeld("worker-1", 3): "retry later",
        errors.SessionFenced(3, "worker-2"): "discard this agent",
        errors.SessionFenced(3, None): "discard this agent",
        errors.SessionNotFound("a/b"): "check the id",
        errors.SessionExists("a/b"): "choose another id",
        errors.JournalCorrupt("a/b", "truncated"): "stop writing",
        errors.RecordTooLarge(2_000, 1_000): "split it",
        errors.ValueRefused("state.price", "a Decimal has no JSON form"): "make it what JSON has",
        errors.StorageUnavailable("bucket: PutObject of a/b answered 503"): "retry with backoff",
        errors.StorageRefused("bucket", "denied"): "permissions",
    }
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__base__ is segue.SegueError}
    assert kinds == {type(error) for error in examples}
    for error, advice in examples.items():
        assert isinstance(error, segue.SegueError)
        assert advice in str(error)


HEAVY = ["strands", "boto3", "botocore", "opentelemetry", "pydantic"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["segue", "segue.lease.item", "segue.errors", "segue.wire.frames", "segue.wire.receiver"]
)
def test_importing_what_the_gateway_needs_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.split() == []


def test_the_package_is_typed() -> None:
    from importlib.resources import files

    assert (files("segue") / "py.typed").is_file()
