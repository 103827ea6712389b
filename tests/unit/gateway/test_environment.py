"""Variables: read once, and all that are missing or wrong are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.environment import (
    FRAME_BURST,
    FRAMES_PER_SECOND,
    AuthorizerEnvironment,
    ConnectEnvironment,
    DisconnectEnvironment,
    MessageEnvironment,
)
from segue.environment import EnvironmentInvalid, read_environment

PROTOCOL = Path(__file__).parents[3] / "docs" / "protocol.md"
COMPLETE = {
    "SEGUE_CONNECTIONS_TABLE": "c",
    "SEGUE_LOCK_TABLE": "l",
    "SEGUE_CLAIMS_QUEUE_URL": "https://queue",
    "SEGUE_MANAGEMENT_ENDPOINT": "https://api",
    "SEGUE_TOKEN_ISSUER": "https://issuer",
    "SEGUE_TOKEN_AUDIENCE": "a,b",
    "SEGUE_TOKEN_KEYS_URL": "https://keys",
    "UNRELATED": "x",
}


def test_each_function_reads_what_it_needs():
    assert read_environment(MessageEnvironment, COMPLETE) == MessageEnvironment(
        "c", "l", "https://queue", "https://api"
    )
    assert read_environment(ConnectEnvironment, COMPLETE) == ConnectEnvironment("c")
    assert read_environment(AuthorizerEnvironment, COMPLETE) == AuthorizerEnvironment(
        "https://issuer", "a,b", "https://keys"
    )
    assert read_environment(DisconnectEnvironment, COMPLETE) == DisconnectEnvironment("c")


@pytest.mark.parametrize(
    "missing",
    ["SEGUE_CONNECTIONS_TABLE", "SEGUE_LOCK_TABLE", "SEGUE_CLAIMS_QUEUE_URL", "SEGUE_MANAGEMENT_ENDPOINT"],
)
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_the_missing_variable_is_named(missing, how):
    environ = {name: value for name, value in COMPLETE.items() if name != missing}
    if how == "empty":
        environ[missing] = ""
    with pytest.raises(EnvironmentInvalid, match=missing):
        read_environment(MessageEnvironment, environ)


def test_a_wrong_value_is_refused():
    for limit in ("none", "0", "101"):
        with pytest.raises(EnvironmentInvalid, match="SEGUE_SESSIONS_PER_PRINCIPAL is wrong"):
            read_environment(MessageEnvironment, COMPLETE | {"SEGUE_SESSIONS_PER_PRINCIPAL": limit})


def test_all_that_is_missing_or_wrong_is_named_at_once():
    environ = {"SEGUE_LOCK_TABLE": "l", "SEGUE_MANAGEMENT_ENDPOINT": "https://api", "SEGUE_FRAME_BURST": "many"}
    with pytest.raises(EnvironmentInvalid) as caught:
        read_environment(MessageEnvironment, environ)
    for problem in ("CONNECTIONS_TABLE is missing", "CLAIMS_QUEUE_URL is missing", "FRAME_BURST is wrong"):
        assert f"SEGUE_{problem}" in str(caught.value)
    assert "LOCK_TABLE" not in str(caught.value)


def test_limits_may_be_changed():
    changed = COMPLETE | {
        "SEGUE_SESSIONS_PER_PRINCIPAL": "7",
        "SEGUE_FRAMES_PER_SECOND": "30",
        "SEGUE_FRAME_BURST": "9",
    }
    assert read_environment(MessageEnvironment, changed) == MessageEnvironment(
        "c", "l", "https://queue", "https://api", 7, 30, 9
    )


def test_a_principals_limit_follows_from_the_others():
    one = MessageEnvironment("c", "l", "https://queue", "https://api", 1)
    assert (one.principal_frames_per_second, one.principal_frame_burst) == (FRAMES_PER_SECOND, FRAME_BURST)
    many = MessageEnvironment("c", "l", "https://queue", "https://api", 7, 30, 9)
    assert (many.principal_frames_per_second, many.principal_frame_burst) == (30 + 60, 9 + 60)
    usual = MessageEnvironment("c", "l", "https://queue", "https://api")
    numbers = f"{usual.principal_frames_per_second} frames a second and {usual.principal_frame_burst} at once"
    assert f"| {numbers}, for each principal" in PROTOCOL.read_text(encoding="utf-8")


def test_the_process_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("SEGUE_CONNECTIONS_TABLE", "mine")
    assert read_environment(DisconnectEnvironment).connections_table == "mine"
