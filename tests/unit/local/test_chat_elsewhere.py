"""``chat --url``: a conversation with a deployment that does not run here."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from local import cli
from local.terminal import chat

URL = "wss://voice.example.com/dev"


@pytest.fixture
def conversations(monkeypatch):
    """Requested conversations, recorded instead of held."""
    made = []

    class Recorded:
        def __init__(self, url, session, token, **options):
            made.append((url, session, token(), options["modality"]))

        async def run(self):
            pass

    monkeypatch.setattr(chat, "Conversation", Recorded)
    return made


def invoke(tmp_path, *arguments, token):
    return CliRunner().invoke(
        cli.main, ["--home", str(tmp_path), "chat", "--url", URL, *arguments], env={"SEGUE_TOKEN": token}
    )


def test_the_token_comes_from_the_environment_and_nothing_runs_here(tmp_path, conversations):
    result = invoke(tmp_path, "--session", "first", token="secret")
    assert (result.exit_code, result.output) == (0, "")
    assert conversations == [(URL, "first", "secret", "voice")]
    assert invoke(tmp_path, "--text", token="secret").exit_code == 0
    assert conversations[1][3] == "text"


@pytest.mark.parametrize("token", [None, ""])
def test_a_missing_token_is_said_in_one_line(tmp_path, conversations, token):
    result = invoke(tmp_path, token=token)
    assert result.exit_code == 1
    assert result.output.startswith("error: SEGUE_TOKEN is not set")
    assert result.output.count("\n") == 1
    assert conversations == []
