"""The file that users edit, as it is delivered."""

from __future__ import annotations

import pytest
from strands.bidi import BidiAgent
from strands.bidi.models.bedrock import BedrockNovaSonicModel

from segue.testing.offline import OfflineVoiceModel
from shared.environment_problem import EnvironmentProblem
from worker.agent import build_agent, build_text_agent


def test_the_model_is_chosen_by_the_provider(monkeypatch):
    monkeypatch.setenv("SEGUE_PROVIDER", "offline")
    assert isinstance(build_agent(None).model.inner, OfflineVoiceModel)
    monkeypatch.setenv("SEGUE_PROVIDER", "nova-sonic")
    assert isinstance(build_agent(None).model.inner, BedrockNovaSonicModel)
    monkeypatch.delenv("SEGUE_PROVIDER")
    monkeypatch.setenv("SEGUE_MODEL_ID", "amazon.nova-next-sonic")
    assert build_agent(None).model.model_id == "amazon.nova-next-sonic"


def test_an_unknown_provider_is_named(monkeypatch):
    monkeypatch.setenv("SEGUE_PROVIDER", "pigeon")
    with pytest.raises(EnvironmentProblem, match=r"'pigeon'.*nova-sonic"):
        build_agent(None)


def test_remembered_notes_are_in_the_agents_state(monkeypatch):
    monkeypatch.setenv("SEGUE_PROVIDER", "offline")
    agent = build_agent(None)
    assert "Nothing" in said(agent.tool.recall())
    agent.tool.remember(note="the wifi is called Segue")
    agent.tool.remember(note="milk")
    assert agent.state.get("notes") == ["the wifi is called Segue", "milk"]
    assert said(agent.tool.recall()) == "- the wifi is called Segue\n- milk"


def test_tools_say_what_they_are_for(monkeypatch):
    monkeypatch.setenv("SEGUE_PROVIDER", "offline")
    agent = build_agent(None)
    assert isinstance(agent, BidiAgent)
    specs = {spec["name"]: spec for spec in agent.tool_registry.get_all_tool_specs()}
    assert list(specs["remember"]["inputSchema"]["json"]["properties"]) == ["note"]
    assert "Write something down" in specs["remember"]["description"]


async def test_the_text_agent_asks_before_it_forgets_and_the_voice_agent_cannot_forget(monkeypatch):
    monkeypatch.setenv("SEGUE_PROVIDER", "offline")
    assert "forget" not in build_agent(None).tool_names
    for consent, left in (("no", ["milk"]), ("y", [])):
        agent = build_text_agent(None)
        agent.state.set("notes", ["milk"])
        asked = await agent.invoke_async("Forget everything")
        assert (asked.stop_reason, agent.state.get("notes")) == ("interrupt", ["milk"])
        (interrupt,) = asked.interrupts
        response = {"interruptResponse": {"interruptId": interrupt.id, "response": consent}}
        assert (await agent.invoke_async([response])).stop_reason == "end_turn"
        assert agent.state.get("notes") == left


def said(result):
    return result["content"][0]["text"]
