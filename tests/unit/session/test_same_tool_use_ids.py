"""Uses of one id by an agent keep their results, runs and keys, in turns, resumes and copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent, ToolContext, tool
from strands.bidi import BidiAgent
from strands.hooks import AfterToolCallEvent, BeforeToolCallEvent
from strands.session import FileSessionManager

from segue import idempotency_key
from segue.admin.fork import commits_of, create
from segue.history.fold import under_way
from segue.history.repair import INTERRUPTED
from segue.history.tool_uses import UNKNOWN, ToolUse, ToolUses
from segue.session.runtime import Runtime
from segue.strands.transfer import import_
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel, tool_call
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import ScriptedModel, calling, calling_all, result_of
from tests.support.waiting import eventually
from tests.unit.session.same_ids import results, said, use

Sessions = Callable[..., Any]


class Shop:
    """A tool that pays, and the keys that it was given for it."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.fails = 0

        @tool(context=True)
        def pay(what: str, tool_context: ToolContext) -> str:
            """Pay."""
            self.keys.append(idempotency_key(tool_context))
            if self.fails:
                self.fails -= 1
                raise ValueError("no money")
            return f"paid for {what}"

        self.tool = pay


async def text_agent(manager: Any, shop: Shop, *replies: Any, **options: Any) -> Agent:
    await manager.open()
    return Agent(model=FakeModel(replies), session_manager=manager, tools=[shop.tool], callback_handler=None, **options)


async def voice_agent(manager: Any, shop: Shop) -> BidiAgent:
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager, tools=[shop.tool])
    await agent.start()
    return agent


async def used(agent: BidiAgent, events: list[Any]) -> None:
    """Let tools run, and their results come."""
    await result_of(agent, events)
    await eventually(lambda: any(type(sent).__name__ == "BidiMessage" for sent in agent.model.sent))
    agent.model.sent.clear()


def paid(*whats: str) -> list[str]:
    return [f"paid for {what}" for what in whats]


async def test_a_text_agents_uses_of_one_id_keep_their_results_runs_and_keys(memory_sessions: Sessions) -> None:
    shop, manager = Shop(), memory_sessions()
    calls = [tool_call("pay", "call_0", what="tea"), tool_call("pay", "call_0", what="tea"), "Done."]
    agent = await text_agent(manager, shop, *calls, tool_call("pay", "call_0", what="milk"), "Done.")
    await agent.invoke_async("Tea, twice")
    await agent.invoke_async("And milk")
    await manager.close()
    assert shop.keys == ["default/talk/call_0", "default/talk/call_0#2", "default/talk/call_0#3"]

    again = memory_sessions()
    restored = await text_agent(again, shop, tool_call("pay", "call_0", what="rum"), "Done.")
    assert results(restored.messages) == paid("tea", "tea", "milk")
    runs = again.history.agents["default"].tools
    assert list(runs) == ["call_0", "call_0#2", "call_0#3"]
    assert [run["status"] for run in runs.values()] == ["success"] * 3
    await restored.invoke_async("And rum")
    assert shop.keys[3:] == ["default/talk/call_0#4"], "after a restore, too"
    await again.close()


async def test_two_uses_of_one_id_in_one_message_are_two(memory_sessions: Sessions) -> None:
    shop, manager = Shop(), memory_sessions()
    calls = [tool_call("pay", "call_0", what="tea"), tool_call("pay", "call_0", what="milk")]
    agent = await text_agent(manager, shop, calls, "Done.")
    await agent.invoke_async("Tea and milk")
    await manager.close()

    assert sorted(shop.keys) == ["default/talk/call_0", "default/talk/call_0#2"]
    restored = await text_agent(memory_sessions(), shop)
    assert sorted(results(restored.messages)) == sorted(results(agent.messages)) == paid("milk", "tea")


async def test_a_voice_agents_use_is_recorded_twice_and_has_one_key(memory_sessions: Sessions) -> None:
    shop, manager = Shop(), memory_sessions()
    agent = await voice_agent(manager, shop)
    await used(agent, calling("pay", "call_0", what="tea"))
    await used(agent, calling("pay", "call_0", what="tea"))
    await used(agent, calling_all(("pay", "call_0", {"what": "rum"}), ("pay", "call_0", {"what": "milk"})))
    await agent.stop()

    numbers = ["", "#2", "#3", "#4"]
    assert sorted(shop.keys) == [f"default/talk/call_0{number}" for number in numbers]
    again = memory_sessions()
    await again.open()
    restored = BidiAgent(model=ScriptedModel(), session_manager=again)
    assert restored.messages == agent.messages
    assert list(under_way(again.history.agents["default"].tools)) == []
    assert INTERRUPTED not in results(restored.messages)


async def test_a_use_that_is_tried_again_keeps_its_key(memory_sessions: Sessions) -> None:
    shop, manager = Shop(), memory_sessions()
    shop.fails = 1
    calls = [tool_call("pay", "call_0", what="tea"), tool_call("pay", "call_0", what="milk"), "Done."]
    agent = await text_agent(manager, shop, *calls)
    retried: list[bool] = []

    def again(event: AfterToolCallEvent) -> None:
        if event.result["status"] == "error":
            event.retry = True
            retried.append(True)

    agent.hooks.add_callback(AfterToolCallEvent, again)
    await agent.invoke_async("Tea and milk")
    await manager.close()

    assert retried
    assert shop.keys == ["default/talk/call_0", "default/talk/call_0", "default/talk/call_0#2"]


async def test_a_use_that_is_resumed_in_another_process_keeps_its_key(memory_sessions: Sessions) -> None:
    shop, manager = Shop(), memory_sessions()

    def ask(event: BeforeToolCallEvent) -> None:
        if event.tool_use["input"]["what"] == "rum" and event.interrupt("rum", reason="alcohol") != "yes":
            event.cancel_tool = "no"

    calls = [tool_call("pay", "call_0", what="tea"), tool_call("pay", "call_0", what="rum")]
    agent = await text_agent(manager, shop, *calls)
    agent.hooks.add_callback(BeforeToolCallEvent, ask)
    result = await agent.invoke_async("Tea and rum")
    assert result.stop_reason == "interrupt"
    await manager.close()
    assert shop.keys == ["default/talk/call_0"]

    answer = [{"interruptResponse": {"interruptId": result.interrupts[0].id, "response": "yes"}}]
    again = memory_sessions()
    restored = await text_agent(again, shop, "Done.")
    restored.hooks.add_callback(BeforeToolCallEvent, ask)
    await restored.invoke_async(answer)
    await again.close()
    assert shop.keys[1:] == ["default/talk/call_0#2"], "another use, though the id was used before"


async def test_uses_that_are_resumed_from_checkpoints_are_told_apart(memory_sessions: Sessions) -> None:
    """Each process resumes once: it has to see that the use which waits is not the one that has ended."""
    shop = Shop()
    replies = [tool_call("pay", "call_0", what="tea"), tool_call("pay", "call_0", what="milk"), "Done."]
    prompt: Any = "Tea and milk"
    for _ in range(6):
        manager = memory_sessions()
        agent = await text_agent(manager, shop, checkpointing=True)
        agent.model._replies = replies
        result = await agent.invoke_async(prompt)
        await manager.close()
        if result.checkpoint is None:
            break
        prompt = {"checkpointResume": {"checkpoint": result.checkpoint.to_dict()}}

    assert shop.keys == ["default/talk/call_0", "default/talk/call_0#2"]
    assert results((await text_agent(memory_sessions(), shop)).messages) == paid("tea", "milk")


async def test_a_rewound_tool_use_does_not_give_its_key_to_another(memory_sessions: Sessions) -> None:
    shop, manager = Shop(), memory_sessions()
    agent = await text_agent(manager, shop, "Hello.", tool_call("pay", "call_0", what="tea"), "Done.")
    await agent.invoke_async("Hi")
    point = (await manager.points())[-1]
    await agent.invoke_async("Tea")
    await manager.rewind(point)
    agent.model._replies = [tool_call("pay", "call_0", what="milk"), "Done."]
    await agent.invoke_async("Milk")
    await manager.close()

    assert shop.keys == ["default/talk/call_0", "default/talk/call_0#2"]
    again = memory_sessions()
    restored = await text_agent(again, shop)
    assert results(restored.messages) == paid("milk")
    assert list(again.history.agents["default"].tools) == ["call_0#2"]


async def test_a_tool_that_was_cut_off_is_told_apart_from_one_of_its_id_that_ended(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    shop, manager = Shop(), memory_sessions()
    agent = await voice_agent(manager, shop)
    await used(agent, calling("pay", "call_0", what="tea"))
    began = manager.position

    def hang(event: BeforeToolCallEvent) -> None:
        crash(manager)

    agent.hooks.add_callback(AfterToolCallEvent, hang)
    agent.model.emit(calling("pay", "call_0", what="milk"))
    receiving = agent.receive()
    await eventually(lambda: len(shop.keys) == 2 or manager.position > began + 2)
    crash(manager)
    del receiving

    heir = memory_sessions(probe=certainly_dead)
    await heir.open()
    restored = BidiAgent(model=ScriptedModel(), session_manager=heir)

    assert results(restored.messages)[1] == "paid for tea"
    assert results(restored.messages)[-1] == INTERRUPTED
    await heir.close()


async def test_a_session_of_an_older_release_goes_on_with_the_next_number(
    memory_sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It recorded all uses of an id as one, and not where they stand."""
    shop, manager = Shop(), memory_sessions()
    with monkeypatch.context() as older:
        older.setattr(ToolUse, "facts", property(lambda _use: {}))
        calls = [tool_call("pay", "call_0", what="tea"), "Done.", tool_call("pay", "call_0", what="rum")]
        agent = await text_agent(manager, shop, *calls, checkpointing=True)
        prompt: Any = "Tea"
        while (result := await agent.invoke_async(prompt)).checkpoint is not None and len(shop.keys) < 1:
            prompt = {"checkpointResume": {"checkpoint": result.checkpoint.to_dict()}}
        await manager.close()

    again = memory_sessions()
    restored = await text_agent(again, shop, tool_call("pay", "call_0", what="milk"), "Done.")
    await restored.invoke_async("Milk")
    await again.close()

    assert shop.keys == ["default/talk/call_0", "default/talk/call_0#2"]


def test_a_use_that_an_older_release_recorded_keeps_its_number_when_it_is_resumed() -> None:
    waits = said("assistant", use("a"), tracking_id="m1")
    known = ToolUses({"a": [UNKNOWN]}, [waits])

    assert known.begin_use(use("a")["toolUse"], [waits]).number == 1
    later = said("assistant", use("a"), tracking_id="m2")
    assert known.begin_use(use("a")["toolUse"], [waits, later]).number == 2
    assert known.begin_use(use("a")["toolUse"], [waits, later]).number == 2, "tried again"


async def test_an_imported_session_keeps_each_result(memory_sessions: Sessions, tmp_path: Any) -> None:
    shop = Shop()
    calls = [tool_call("pay", "call_0", what="tea"), tool_call("pay", "call_0", what="milk"), "Done."]
    source = FileSessionManager("talk", storage_dir=str(tmp_path))
    plain = Agent(model=FakeModel(calls), tools=[echo], session_manager=source, callback_handler=None)
    await plain.invoke_async("Tea and milk")
    manager = memory_sessions("moved")
    runtime = Runtime.shared()
    stores = manager._storage.stores()
    await create(stores, "default/moved", commits_of(import_(source)), runtime.clock)

    restored = await text_agent(manager, shop)

    assert results(restored.messages) == ["tea", "milk"]
    await manager.close()


@tool(name="pay")
def echo(what: str) -> str:
    """Say what."""
    return what
