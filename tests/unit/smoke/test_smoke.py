"""The whole story, its report and its command line."""

from __future__ import annotations

import asyncio
import json
import os
import wave
from array import array

import pytest
from click.testing import CliRunner
from rich.console import Console

from smoke import __main__ as command
from smoke import speech, stack
from smoke.report import Line, Report, State, percentiles
from smoke.story import Story
from smoke.visit import Visit
from tests.unit.smoke.scripted import deployed
from tests.unit.smoke.steps import quick  # noqa: F401 - a fixture


@pytest.mark.slow
async def test_the_whole_story_in_order_and_the_command_that_deletes_the_session():
    async with deployed() as there:
        seen: list[Line] = []
        story = Story(Visit(url=there.url, token="good"), seen.append)
        report = await story.play()

    states = {line.step: line.state for line in report.lines}
    assert report.lines == seen
    assert {state for name, state in states.items() if name != "a long pause, then one frame"} == {State.WELL}, report
    assert report.well
    assert len(report.notes) == 1
    assert f"sessions delete PRINCIPAL/{report.session} --yes" in report.notes[0]


@pytest.mark.slow
async def test_steps_after_a_failed_prerequisite_are_reported_as_not_tried():
    async with deployed(silent=True) as there:
        report = await Story(Visit(url=there.url, token="good")).play()

    states = {line.step: line.state for line in report.lines}
    assert states["hello to ready"] is State.DIFFERS
    after = [line for line in report.lines if line.state is State.SKIPPED]
    assert len(after) == len(report.lines) - 4
    assert {line.came for line in after} == {"not tried: hello to ready differs"}
    assert not report.well


async def test_an_address_without_a_deployment_is_a_report_too():
    report = await Story(Visit(url="ws://127.0.0.1:9/dev", token="good")).play()

    assert {line.state for line in report.lines} == {State.DIFFERS, State.SKIPPED}


def test_the_token_is_in_no_report():
    lines = [Line(step="s", expected="e", came="[c]", state=State.DIFFERS, page="docs/deploy.md")]
    report = Report("wss://abcd.example/dev?token=secret", "smoke-1", lines)
    console = Console(record=True, width=200)
    report.show(console)
    shown = console.export_text()

    assert "secret" not in shown + json.dumps(report.facts())
    assert "differs s: [c]\n        expected: e\n        see docs/deploy.md" in shown
    assert "1 differs" in shown


def test_percentiles_are_times_that_were_measured():
    times = [number / 1000 for number in range(1, 101)]

    assert percentiles(times) == {"p50": 51.0, "p90": 91.0, "p99": 100.0, "max": 100.0}
    assert percentiles([0.2]) == {"p50": 200.0, "p90": 200.0, "p99": 200.0, "max": 200.0}
    assert percentiles([]) == {}


@pytest.mark.slow
def test_the_recording_is_speech_at_any_rate(tmp_path):
    at_16 = speech.question(16000, offline=False)
    at_24 = speech.question(24000, offline=False)

    assert 1.0 < len(at_16) / 2 / 16000 < 4.0
    assert abs(len(at_24) / 24000 - len(at_16) / 16000) < 0.001
    assert max(array("h", at_16)) > 8000, "loud enough to be heard"
    stereo = tmp_path / "stereo.wav"
    with wave.open(str(stereo), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(400))
    with pytest.raises(ValueError, match="PCM16 mono"):
        speech.question(16000, offline=False, recording=stereo)


def test_the_offline_model_hears_the_question_in_its_tones():
    from segue.testing.offline import Ear

    (heard,) = Ear(16000).feed(speech.question(16000, offline=True) + bytes(16000))
    assert heard.text == speech.QUESTION


def test_pieces_lose_nothing_and_are_whole():
    pcm = bytes(range(256)) * 30
    cut = speech.pieces(pcm, 16000)

    assert {len(piece) for piece in cut} == {3200}
    assert b"".join(cut).startswith(pcm)
    assert speech.resampled(pcm, 16000, 16000) == pcm


def test_the_principal_is_that_of_the_token():
    from local.deployment.issuer import Issuer, principal
    from local.settings import Settings

    assert stack.principal("no token") == "PRINCIPAL"
    del Issuer, Settings
    import jwt

    token = jwt.encode({"iss": "https://issuer.segue.local", "sub": "local"}, "k" * 32)
    assert stack.principal(token) == principal("local")


@pytest.mark.slow
def test_the_command_that_deletes_is_one_that_there_is():
    command_line = stack.delete_command("p", "smoke-1", {"BucketName": "b", "LockTableName": "t"})
    from segue.cli.app import segue as main

    shown = CliRunner().invoke(main, [*command_line[2:4], "--help"])
    assert command_line[:2] == ["-m", "segue.cli"]
    assert shown.exit_code == 0
    assert all(option in shown.output for option in command_line[5:] if option.startswith("--"))


@pytest.mark.parametrize(
    ("words", "token", "said"),
    [
        (["--url", "wss://a.example/dev"], "", "SEGUE_TOKEN is not set"),
        (["--url", "wss://a.example/dev", "--redeploy"], "x", "--redeploy needs --stack"),
        ([], "x", "--url"),
        (["--url", ""], "x", "make smoke URL=wss://"),
        (["--url", "https://a.example/dev"], "x", "is no WebSocket address"),
    ],
)
def test_wrong_usage_ends_with_2(monkeypatch, words, token, said):
    monkeypatch.setenv("SEGUE_TOKEN", token)
    result = CliRunner().invoke(command.main, words)

    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(
    ("region", "said"), [(None, "You must specify a region"), ("eu-west-1", "Unable to locate credentials")]
)
def test_a_stack_that_cannot_be_read_ends_with_2_and_what_to_do(monkeypatch, tmp_path, region, said):
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "")
    monkeypatch.delenv("AWS_DEFAULT_REGION")  # what the command sets is taken back at the end
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    if region:
        monkeypatch.setenv("AWS_REGION", region)
    monkeypatch.setenv("SEGUE_TOKEN", "x")
    result = CliRunner().invoke(command.main, ["--url", "wss://a.example/dev", "--stack", "Segue-dev"])

    assert result.exit_code == 2
    assert said in result.output
    assert "Segue-dev-Service" in result.output


def test_json_is_the_report(monkeypatch):
    async def play(self, **_: object) -> Report:
        self.report.lines.append(Line(step="s", expected="e", came="c", state=State.SLOW, page="p"))
        await asyncio.sleep(0)
        return self.report

    monkeypatch.setenv("SEGUE_TOKEN", "x")
    monkeypatch.setattr(Story, "play", play)
    result = CliRunner().invoke(command.main, ["--url", "wss://a.example/dev", "--json"])

    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    assert (facts["host"], facts["well"], facts["lines"][0]["state"]) == ("a.example", True, "slow")
