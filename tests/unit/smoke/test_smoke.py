"""Each step of the story against a deployment that is well, and against one that is wrong in that one way."""

from __future__ import annotations

import asyncio
import json
import os
import wave
from array import array
from functools import partial

import pytest
from click.testing import CliRunner
from rich.console import Console

from smoke import __main__ as command
from smoke import connections, frames, handshakes, redeploy, speech, stack, turns
from smoke.call import calling
from smoke.report import Line, Report, State, percentiles
from smoke.story import Story
from smoke.visit import Outcome, Visit
from tests.unit.smoke.scripted import deployed

HANDSHAKES = {step.name: step.work for step in handshakes.STEPS}
FRAMES = {step.name: step.work for step in frames.STEPS}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Steps wait less long for what does not come."""
    for module in (frames, turns, connections, redeploy):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 10.0)
    monkeypatch.setattr(frames, "READY_SECONDS", 1.0)
    monkeypatch.setattr(frames, "HELLO_SECONDS", 0.4)
    monkeypatch.setattr(frames, "STRAY_SECONDS", 0.3)
    monkeypatch.setattr(frames, "PING_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(frames, "REPEAT_SECONDS", 0.2)
    monkeypatch.setattr(frames, "ROUNDS", 2)
    monkeypatch.setattr(turns, "LISTENING_SECONDS", 0.0)
    monkeypatch.setattr("smoke.call.PIECE_SECONDS", 0.02)
    monkeypatch.setattr(redeploy, "PAUSE_SECONDS", 0.0)


async def outcome(work, **faults) -> Outcome:
    async with deployed(**faults) as there:
        return await work(Visit(url=there.url, token="good"))


async def in_a_call(work, **faults) -> Outcome:
    async with deployed(**faults) as there:
        visit = Visit(url=there.url, token="good", idle_seconds=0.1)
        async with calling(visit.client()) as visit.call:
            return await work(visit)


@pytest.mark.parametrize(
    ("work", "fault", "came"),
    [
        (HANDSHAKES["handshake without a token"], "lets_in", "let in"),
        (HANDSHAKES["handshake with a wrong token"], "lets_in", "let in"),
        (HANDSHAKES["handshake with the token"], "echoes_nothing", "subprotocol none"),
        (FRAMES["frames without an answer"], "strays", "10 messages for 10 frames, the first: ''"),
        (FRAMES["a lost connection"], "says_twice", "the answer twice"),
    ],
)
async def test_a_step_tells_a_deployment_that_is_well_from_one_that_is_not(work, fault, came):
    well, wrong = await outcome(work), await outcome(work, **{fault: True})

    assert (well.state, wrong.state) == (State.WELL, State.DIFFERS)
    assert came in wrong.came
    assert came not in well.came


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hello to ready", "echo of the gateway", "echo of the worker"])
async def test_echoes_are_measured_and_a_session_that_is_never_ready_is_no_echo(name):
    well = await outcome(FRAMES[name])
    assert well.state is State.WELL
    assert all(value > 0 for value in well.figures.values())
    assert well.figures

    with pytest.raises(TimeoutError):
        await outcome(FRAMES[name], silent=True)


async def test_an_agent_without_audio_is_neither_spoken_to_nor_wrong():
    skipped = await outcome(FRAMES["echo of the worker"], mute=True)
    quiet = [await in_a_call(work, mute=True) for work in (turns.spoken, turns.spoken_over)]

    assert {each.state for each in (skipped, *quiet)} == {State.SKIPPED}


async def test_the_emulator_is_known_for_its_handshake_and_nothing_else_is():
    async with deployed(echoes_nothing=True) as there:
        visit = Visit(url=there.url.replace("/dev", "/_aws/execute-api/1/local"), token="good")
        known = await HANDSHAKES["handshake with the token"](visit)
    async with deployed(lets_in=True) as there:
        visit = Visit(url=there.url.replace("/dev", "/_aws/execute-api/1/local"), token="good")
        wrong = await HANDSHAKES["handshake without a token"](visit)

    assert (known.state, wrong.state) == (State.KNOWN, State.DIFFERS)


async def test_a_typed_turn_is_answered_and_durable():
    well = await in_a_call(turns.typed)

    assert well.state is State.WELL
    assert "the offline model says 'You said: Say hello'; durable" in well.came


@pytest.mark.slow
async def test_a_spoken_turn_and_a_barge_in_are_heard_or_time_out(monkeypatch):
    spoken, over = await in_a_call(turns.spoken), await in_a_call(turns.spoken_over)

    assert (spoken.state, over.state) == (State.WELL, State.WELL)
    assert "heard 'a question'" in spoken.came
    assert over.figures["barge_in"] < 2000
    monkeypatch.setattr(turns, "ANSWER_SECONDS", 0.5)
    for work in (turns.spoken, turns.spoken_over):
        with pytest.raises(TimeoutError):
            await in_a_call(work, deaf=True)


async def test_a_session_that_forgets_differs():
    async def twice(visit):
        await visit.call.ask("Say hello", 3)
        return await connections.returned(visit)

    assert (await in_a_call(twice)).state is State.WELL
    assert (await in_a_call(twice, forgets=True)).state is State.DIFFERS


async def test_a_pause_is_only_made_if_it_was_asked_for():
    well = await in_a_call(connections.idle)
    async with deployed() as there:
        skipped = await connections.idle(Visit(url=there.url, token="good"))

    assert (well.state, skipped.state) == (State.WELL, State.SKIPPED)
    assert "same connection and holder" in well.came


@pytest.mark.slow
async def test_a_redeployment_has_to_move_the_call(monkeypatch):
    async def nothing() -> None:
        return None

    async def fails() -> None:
        raise OSError("rolled back")

    monkeypatch.setattr(redeploy, "REDEPLOYED_SECONDS", 0.5)
    moved = await in_a_call(partial(redeploy.redeployed, redeploy=nothing), moves=True)
    stayed = await in_a_call(partial(redeploy.redeployed, redeploy=nothing))

    assert moved.state is State.WELL, moved
    assert "answered once each" in moved.came
    assert stayed.state is State.DIFFERS
    with pytest.raises(OSError, match="rolled back"):
        await in_a_call(partial(redeploy.redeployed, redeploy=fails), moves=True)


@pytest.mark.slow
async def test_only_a_call_to_a_worker_itself_may_be_on_another_connection_after_a_redeployment(monkeypatch):
    async def nothing() -> None:
        return None

    monkeypatch.setattr(redeploy, "REDEPLOYED_SECONDS", 0.5)
    work = partial(redeploy.redeployed, redeploy=nothing)

    async def twice(visit: Visit) -> Outcome:
        await work(visit)
        return await work(visit)  # the next connection is the present one by now

    direct, gateway = [await in_a_call(twice, moves=True, leaves=True, direct=leads) for leads in (True, False)]

    assert direct.state is State.WELL, direct
    assert gateway.state is State.DIFFERS, gateway


async def test_a_session_that_follows_its_socket_is_waited_for(monkeypatch):
    monkeypatch.setattr(frames, "FOLLOW_SECONDS", 0.2)
    well = await outcome(FRAMES["echo of the worker"], direct=True)

    assert well.state is State.WELL


async def test_a_redeployment_by_a_command():
    await redeploy.by_command("exit 0")
    with pytest.raises(OSError, match="ended with 3: no such stack"):
        await redeploy.by_command("echo no such stack; exit 3")


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
async def test_after_a_step_that_all_others_need_they_say_that_they_were_not_tried():
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


async def test_a_deployment_of_text_alone_has_no_workers_to_replace():
    with pytest.raises(OSError, match="workers=text"):
        await stack.Stack({"BucketName": "b"}).redeploy()


class Ecs:
    """ECS, whose newest deployment goes through these states."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.asked: list[dict[str, object]] = []

    def update_service(self, **given: object) -> None:
        self.asked.append(given)

    def describe_services(self, **_: object) -> dict[str, object]:
        state = self.states.pop(0)
        return {"services": [{"deployments": [{"rolloutState": state, "rolloutStateReason": "circuit breaker"}]}]}


async def test_ecs_is_asked_for_new_tasks_and_waited_for(monkeypatch):
    monkeypatch.setattr(stack, "POLL_SECONDS", 0.0)
    ecs = Ecs("IN_PROGRESS", "COMPLETED")
    monkeypatch.setattr(stack, "_client", lambda _: ecs)
    there = stack.Stack({"ClusterName": "c", "WorkerServiceName": "w"})

    await there.redeploy()
    assert ecs.asked == [{"cluster": "c", "service": "w", "forceNewDeployment": True}]
    assert not ecs.states
    ecs.states = ["FAILED"]
    with pytest.raises(OSError, match="circuit breaker"):
        await there.redeploy()
    monkeypatch.setattr(stack, "DEPLOYED_SECONDS", 0.0)
    with pytest.raises(TimeoutError):
        await there.redeploy()


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
