"""Variables: read once, and the one that is missing is named."""

import pytest

from gateway.environment import ConnectEnvironment, DisconnectEnvironment, MessageEnvironment
from segue.environment import EnvironmentInvalid, read_environment

COMPLETE = {
    "SEGUE_CONNECTIONS_TABLE": "c",
    "SEGUE_LOCK_TABLE": "l",
    "SEGUE_CLAIMS_QUEUE_URL": "https://queue",
    "SEGUE_AUTH": "iam",
    "UNRELATED": "x",
}


def test_each_function_reads_what_it_needs():
    assert read_environment(MessageEnvironment, COMPLETE) == MessageEnvironment("c", "l", "https://queue")
    assert read_environment(ConnectEnvironment, COMPLETE) == ConnectEnvironment("c", "iam")
    assert read_environment(DisconnectEnvironment, COMPLETE) == DisconnectEnvironment("c")


@pytest.mark.parametrize("missing", ["SEGUE_CONNECTIONS_TABLE", "SEGUE_LOCK_TABLE", "SEGUE_CLAIMS_QUEUE_URL"])
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_the_missing_variable_is_named(missing, how):
    environ = {name: value for name, value in COMPLETE.items() if name != missing}
    if how == "empty":
        environ[missing] = ""
    with pytest.raises(EnvironmentInvalid, match=missing):
        read_environment(MessageEnvironment, environ)


def test_a_wrong_value_is_refused():
    with pytest.raises(EnvironmentInvalid, match="auth"):
        read_environment(ConnectEnvironment, COMPLETE | {"SEGUE_AUTH": "maybe"})


def test_the_process_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("SEGUE_CONNECTIONS_TABLE", "mine")
    assert read_environment(DisconnectEnvironment).connections_table == "mine"
