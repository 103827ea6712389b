"""One session by voice and by text in turns: each agent knows what was said to the other."""

from __future__ import annotations

import pytest
from strands.bidi.types.media import AudioDelta

from segue.testing.offline import HistoryRejected, speak
from segue.testing.offline.history import check_for_answer
from segue.testing.offline.text_model import ConnectionDropped, OfflineTextModel
from tests.support.memory_manager import MemorySessionManager
from tests.support.scripted_model import until
from tests.unit.turn.conftest import Person, World, journal
from turn.history import BEGINNING, alternating
from worker.agent import build_agent, build_text_agent

RATE = 16_000
SILENCE = bytes(2 * RATE)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("SEGUE_PROVIDER", "offline")
    monkeypatch.setenv("SEGUE_REHEARSAL_PACE", "0")


async def call(world: World, *sentences: str, responses: int = 1) -> list[str]:
    """A voice worker's part: hear each sentence, and return what was answered."""
    manager = MemorySessionManager("talk", principal="alice", storage=world.storage, acquire_timeout=0.0)
    await manager.open()
    agent = build_agent(manager)
    await agent.start()
    said = []
    for sentence in sentences:
        await agent.send(AudioDelta(format="pcm", source={"bytes": speak(sentence, RATE) + SILENCE}))
        events = await until(agent, "bidi_response_stop", responses)
        said += [event.transcript for event in events if getattr(event, "transcript", None) and event.role != "user"]
    await agent.stop()
    return said


def texting(processes):
    process = processes()
    process.sessions._new_agent = build_text_agent
    return process


async def ask(process, person: Person, text: str) -> str:
    await process.take(await person.say(process, text))
    await person.settle(process)
    return person.texts[-1]


@pytest.mark.slow
async def test_voice_and_text_agents_know_what_was_said_to_the_other(world, processes):
    process, person = texting(processes), Person(world)
    assert await call(world, "My name is Alice") == ["Hello Alice, nice to meet you."]
    assert await ask(process, person, "What is my name?") == "Your name is Alice."
    assert await ask(process, person, "My name is Bob") == "Hello Bob, nice to meet you."
    assert await call(world, "What is my name?") == ["Your name is Bob."]
    assert await ask(process, person, "How many messages do you remember?") == "I remember 8 messages."


@pytest.mark.slow
async def test_notes_of_the_voice_and_text_agents_are_shared(world, processes):
    process, person = texting(processes), Person(world)
    assert await call(world, "Remember that I like tea", responses=2) == ["Noted. There are 1 notes now."]
    assert await ask(process, person, "Remember that I have a dog") == "Noted. There are 2 notes now."
    said = await call(world, "What did I ask you to remember?", responses=2)
    assert said == ["- I like tea\n- I have a dog"]
    assert await ask(process, person, "What did I ask you to remember?") == "- I like tea\n- I have a dog"


@pytest.mark.slow
async def test_voice_and_text_agents_do_not_shorten_each_others_history(world, processes):
    process, person = texting(processes), Person(world)
    await call(world, *(f"repeat after me {number}" for number in range(3)))
    await ask(process, person, "repeat after me tea")
    await call(world, "repeat after me coffee")
    assert "window" not in {record.kind for record in await journal(world)}
    assert await ask(process, person, "How many messages do you remember?") == "I remember 10 messages."


# --- what a text model is shown


def text(role, *texts):
    return {"role": role, "content": [{"text": one} for one in texts]}


NOTE = {"custom": {"bidi": {"kind": "tool_dispatch"}}}


def use(use_id):
    return {"toolUse": {"toolUseId": use_id, "name": "t", "input": {}}}


def result(use_id, said="done"):
    return {"toolResult": {"toolUseId": use_id, "status": "success", "content": [{"text": said}]}}


@pytest.mark.parametrize(
    ("messages", "shown"),
    [
        ([], []),
        ([text("user", "a"), text("assistant", "b")], [text("user", "a"), text("assistant", "b")]),
        ([text("user", "a"), text("user", "b")], [text("user", "a", "b")]),
        (
            [text("assistant", "hello"), text("user", "a")],
            [text("user", BEGINNING), text("assistant", "hello"), text("user", "a")],
        ),
        (
            [
                text("user", "a"),
                {"role": "assistant", "content": [use("1")]},
                {"role": "user", "content": [result("1", "started")], "metadata": NOTE},
                text("assistant", "one moment"),
                {"role": "assistant", "content": [use("1")]},
                {"role": "user", "content": [result("1")]},
            ],
            [
                text("user", "a"),
                {"role": "assistant", "content": [{"text": "one moment"}, use("1")]},
                {"role": "user", "content": [result("1")]},
            ],
        ),
    ],
    ids=["nothing", "turns", "two in a row", "the agent first", "a tool call of a voice agent"],
)  # fmt: skip
def test_user_and_agent_take_turns_and_each_tool_call_is_there_once(messages, shown):
    before = [dict(message) for message in messages]
    assert alternating(messages) == shown
    assert messages == before
    if shown and shown[-1]["role"] == "user":
        check_for_answer(shown)


@pytest.mark.parametrize(
    "messages",
    [
        [text("assistant", "a"), text("user", "b")],
        [text("user", "a"), text("user", "b"), text("user", "c")],
        [text("user", "a"), text("assistant", "b")],
        [],
    ],
    ids=["the agent first", "three users in a row", "the agent last", "nothing"],
)
def test_the_offline_model_refuses_what_a_provider_would(messages):
    with pytest.raises(HistoryRejected):
        check_for_answer(messages)


async def test_the_offline_model_drops_the_line_on_request():
    model = OfflineTextModel()
    with pytest.raises(ConnectionDropped):
        [event async for event in model.stream([text("user", "drop the line")])]
    assert [heard.text for heard in model.heard] == ["drop the line"]


def test_a_tool_call_whose_id_is_used_again_stays():
    messages = [
        message
        for n in (1, 2)
        for message in (
            {"role": "user", "content": [{"text": f"Question {n}"}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "call_0", "name": "look", "input": {"n": n}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "call_0", "content": [{"text": f"{n}"}]}}]},
            {"role": "assistant", "content": [{"text": f"Answer {n}"}]},
        )
    ]

    assert alternating(messages) == messages
