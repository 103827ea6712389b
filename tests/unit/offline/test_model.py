"""The offline model's own manners: errors, stopping, configuration, what it writes down."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from strands.bidi.models import AudioCapable, BidiModel, ConnectionTimeoutError
from strands.bidi.types import AudioDelta, BidiMessage
from strands.bidi.types.events import BidiConnectionRestartEvent, BidiConnectionStartEvent
from strands.types.content import TextBlock
from strands.types.media import ImageBlock
from strands.types.tools import ToolResultBlock

import segue.testing.offline
from segue.testing.offline import HistoryRejected, OfflineVoiceModel, speak
from tests.support.waiting import promptly


def typed(text: str) -> BidiMessage:
    return BidiMessage([TextBlock(text)])


async def test_nothing_works_without_a_connection() -> None:
    model = OfflineVoiceModel(pace=0)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="call start before sending"):
            await model.send(typed("Hello"))
        with pytest.raises(RuntimeError, match="call start before receiving"):
            await anext(model.receive())
        await model.start()
        with pytest.raises(RuntimeError, match="already started"):
            await model.start()
        await model.stop()
        await model.stop()


async def test_stop_ends_receive_and_what_is_being_said() -> None:
    reached = asyncio.Event()

    async def forever(_: float) -> None:
        reached.set()
        await asyncio.Event().wait()

    model = OfflineVoiceModel(pace=1, sleep=forever)
    await model.start()

    async def read() -> list[str]:
        return [event["type"] async for event in model.receive()]

    reader = asyncio.create_task(read())
    await model.send(typed("Count to 50"))
    await reached.wait()
    before = asyncio.all_tasks()
    await model.stop()
    assert "bidi_response_stop" not in await promptly(reader, 5)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, (before, left)


async def test_a_dropped_offline_model_loses_everything_until_it_is_started_again() -> None:
    model = OfflineVoiceModel(pace=0)
    await model.start()
    await model.send(typed("Drop the line"))
    for content in (typed("Hello"), AudioDelta("pcm", {"bytes": speak("Hello")}), BidiMessage([_result("?")])):
        await model.send(content)
    assert [heard.text for heard in model.heard] == ["Drop the line"]
    reader = model.receive()
    await anext(reader)
    with pytest.raises(ConnectionTimeoutError, match="on request"):
        await anext(reader)
    await model.stop()


def _result(tool_use_id: str, **content: Any) -> ToolResultBlock:
    return ToolResultBlock(tool_use_id=tool_use_id, status="success", content=[content or {"text": "x"}])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (typed(" \n"), "blank"),
        (BidiMessage([ImageBlock(format="png", source={"bytes": b"x"})]), "ImageBlock"),
        (BidiMessage([_result("never")]), "no such tool use"),
        (BidiMessage([_result("asked", image={})]), "only text and JSON"),
        (AudioDelta("mp3", {"bytes": b"x"}), "mp3"),
        (AudioDelta("pcm", {"location": {"type": "s3", "uri": "s3://b/k"}}), "not here"),
        ("Hello", "cannot understand str"),
    ],
)
async def test_offline_model_refuses_content_it_does_not_understand(content: Any, why: str) -> None:
    uses: Any = [
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "asked", "name": "t", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "asked", "status": "success", "content": []}}]},
    ]
    model = OfflineVoiceModel(pace=0)
    await model.start(messages=uses)
    with pytest.raises(ValueError, match=why):
        await model.send(content)
    await model.stop()


async def test_a_result_of_a_tool_that_an_earlier_connection_asked_for_is_taken() -> None:
    uses: Any = [
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "asked", "name": "t", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "asked", "status": "success", "content": []}}]},
    ]
    model = OfflineVoiceModel(pace=0)
    await model.start(messages=uses)
    await model.send(BidiMessage([_result("asked", json={"degrees": 21})]))
    assert [(heard.kind, heard.text) for heard in model.heard] == [("tool_result", '{"degrees": 21}')]
    await model.stop()


async def test_a_mistake_while_speaking_reaches_the_reader() -> None:
    async def broken(_: float) -> None:
        raise ArithmeticError("broken clock")

    model = OfflineVoiceModel(pace=1, sleep=broken)
    await model.start()
    await model.send(typed("Count to 9"))
    with pytest.raises(ArithmeticError, match="broken clock"):
        _ = [event async for event in model.receive()]
    await model.stop()


def test_the_offline_model_is_a_model_of_strands_and_can_be_configured() -> None:
    model = OfflineVoiceModel(model_id="stage", connection={"restart_after_s": 5})
    assert isinstance(model, BidiModel)
    assert isinstance(model, AudioCapable)
    assert model.model_id == "stage"
    assert model.get_connection_config() == {"restart_after_s": 5}
    model.update_config(connection={"auto_restart": False})
    assert model.get_config()["connection"] == {"auto_restart": False}
    for wrong in ({"voice": "x"}, {"model_id": ""}):
        with pytest.raises(ValueError, match="cannot configure"):
            model.update_config(**wrong)
    for wrong_options in ({"pace": -1}, {"pace": float("nan")}, {"input_rate": 44100}, {"output_rate": 1}):
        with pytest.raises(ValueError, match=r"pace|multiple"):
            OfflineVoiceModel(**wrong_options)  # type: ignore[arg-type]


async def test_the_offline_model_writes_down_what_it_hears_and_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, converse: Any
) -> None:
    path = tmp_path / "rehearsal.jsonl"
    monkeypatch.setenv("SEGUE_REHEARSAL_LOG", str(path))
    monkeypatch.setenv("SEGUE_REHEARSAL_PACE", "0")
    monkeypatch.setenv("SEGUE_WORKER_ID", "worker-7")
    talk = await converse(OfflineVoiceModel())
    await talk.ask("My name is Žofie")
    await talk.agent.send("Drop the line")
    await talk.until(BidiConnectionRestartEvent)
    await talk.until(BidiConnectionStartEvent)
    await talk.ask_aloud("What's my name?")
    await talk.agent.stop()
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert {line["worker"] for line in lines} == {"worker-7"}
    assert [line["event"] for line in lines] == [
        "started",
        "heard",
        "said",
        "heard",
        "dropped",
        "stopped",
        "started",
        "heard",
        "said",
        "stopped",
    ]
    assert [(line["kind"], line["text"]) for line in lines if line["event"] == "heard"] == [
        ("text", "My name is Žofie"),
        ("text", "Drop the line"),
        ("speech", "What's my name?"),
    ]
    assert [line["messages"] for line in lines if line["event"] == "started"] == [0, 3]


def test_offline_package_exports_these_names() -> None:
    assert segue.testing.offline.__all__ == [
        "Ear",
        "Heard",
        "HeardInput",
        "HistoryRejected",
        "OfflineTextModel",
        "OfflineVoiceModel",
        "speak",
    ]


def turns_of(*texts: str) -> Any:
    return [
        {"role": role, "content": [{"text": text}]} for role, text in zip(("user", "assistant"), texts, strict=True)
    ]


async def test_offline_model_takes_additions_and_does_not_answer_them() -> None:
    model = OfflineVoiceModel(pace=0)
    with pytest.raises(RuntimeError, match="call start before adding"):
        await model.add([])
    await model.start(messages=turns_of("Hello", "Hello there"))
    await model.add(turns_of("My name is Alice", "Hello Alice"))
    await model.send(typed("What's my name?"))
    said = ""
    async for event in model.receive():
        said += event["delta"] if event["type"] == "bidi_transcript_delta" else ""
        if event["type"] == "bidi_response_stop":
            break
    assert said == "Your name is Alice."
    assert [heard.text for heard in model.heard] == ["What's my name?"]
    await model.stop()


async def test_offline_model_refuses_an_addition_already_in_its_history() -> None:
    model = OfflineVoiceModel()
    twice: Any = [{"role": "user", "content": [{"text": "Hello"}], "tracking_id": "m1"}]
    await model.start(messages=twice)
    with pytest.raises(HistoryRejected, match="message 1 is there twice"):
        await model.add(twice)
    await model.stop()


async def test_offline_model_refuses_additions_if_told_to() -> None:
    model = OfflineVoiceModel(additions=False)
    await model.start()
    with pytest.raises(HistoryRejected, match="start another connection"):
        await model.add(turns_of("Hello", "Hello there"))
    await model.stop()


async def test_offline_models_start_takes_the_given_time() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    model = OfflineVoiceModel(start_s=0.5, sleep=sleep)
    await model.start()
    assert waited == [0.5]
    await model.stop()
    with pytest.raises(ValueError, match="start_s=-1"):
        OfflineVoiceModel(start_s=-1)
