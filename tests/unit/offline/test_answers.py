from __future__ import annotations

from typing import Any

import pytest

from segue.testing.offline.answers import DropConnection, KnownConversation, Say, UseTool, answer, answer_tool
from segue.testing.offline.history import SpokenTurn


def tool(name: str, required: tuple[str, ...] = (), **properties: str) -> Any:
    schema = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    return {"name": name, "description": name, "inputSchema": {"json": schema | {"required": list(required)}}}


def reply(*said: str, tools: tuple[Any, ...] = (), instructions: str | None = None) -> Any:
    """Answer the last of the sentences, which the two sides say by turns, the user last."""
    roles: Any = ("user", "assistant")
    turns = [SpokenTurn(roles[(len(said) - 1 - index) % 2], text) for index, text in enumerate(said)]
    return answer(KnownConversation(turns, {spec["name"]: spec for spec in tools}, instructions))


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        (["My name is Alice"], "Hello Alice, nice to meet you."),
        (
            ["My name's Anne-Marie O\N{RIGHT SINGLE QUOTATION MARK}Neill, hi"],
            "Hello Anne-Marie O'Neill, nice to meet you.",
        ),
        (["My name is Alice", "Hello Alice.", "What's my name?"], "Your name is Alice."),
        (["my name is Bob. what\N{RIGHT SINGLE QUOTATION MARK}s my name"], "Your name is Bob."),
        (["My name is Alice", "-", "My name is Bob and I am new", "-", "What is my name?"], "Your name is Bob."),
        (["What's my name?"], "I don't know your name."),
        (["My name is Eve", "What is my name?"], "I don't know your name."),  # the assistant's words do not count
        (["How many messages do you remember?"], "I remember 0 messages."),
        (["a", "b", "c", "d", "How many messages do you remember?"], "I remember 4 messages."),
        (["Repeat after me: the sea, the sea!"], "the sea, the sea!"),
        (["Please count to 5"], "1, 2, 3, 4, 5."),
        (["count to 0"], "There is nothing to count."),
        (["Remember that the code is 42."], "I will remember the code is 42."),
        (
            ["Remember milk", "-", "remember that tea is green", "-", "What did I ask you to remember?"],
            "You asked me to remember milk; tea is green.",
        ),
        (["What did I ask you to remember?"], "You did not ask me to."),
        (["What time is it in Paris?"], "I have no clock."),
        (["Use the tool hammer"], "I have no tool hammer."),
        (["What are your instructions?"], "I have none."),
        (["Hello!"], "Hello."),
        (["Stop!"], "Okay."),
        (["  The sky is blue. "], "You said: The sky is blue."),
    ],
)
def test_answer_table_replies_by_the_last_words(said: list[str], answered: str) -> None:
    assert reply(*said) == Say(answered)


def test_long_words_are_echoed_in_part() -> None:
    assert len(reply("la " * 1000).text) <= 400
    assert reply("count to 100000").text.endswith("99, 100.")


def test_the_answer_table_asks_for_the_tool_that_the_words_call_for() -> None:
    question = "What time is it in New York?"
    assert reply(question, tools=(tool("city_time", city="string"),)) == UseTool("city_time", {"city": "New York"})
    zone = tool("current_time", timezone="string", precision="integer")
    assert reply(question, tools=(zone,)) == UseTool("current_time", {"timezone": "America/New_York"})
    assert reply("What's the time in Atlantis?", tools=(zone,)) == UseTool("current_time", {"timezone": "UTC"})
    assert reply("What time is it?", tools=(zone,)) == UseTool("current_time", {})
    needed = tool("clock", ("zone",), zone="string")
    assert reply("What time is it?", tools=(needed,)) == UseTool("clock", {"zone": "UTC"})


def test_the_answer_table_notes_and_recalls_by_tools_if_there_are_any() -> None:
    tools = (tool("remember", note="string"), tool("recall"))
    assert reply("Remember that tea is green.", tools=tools) == UseTool("remember", {"note": "tea is green"})
    assert reply("What did I ask you to remember?", tools=tools) == UseTool("recall", {})
    assert reply("Please forget everything.", tools=(tool("forget"),)) == UseTool("forget", {})
    assert reply("Forget everything.") == Say("I forget nothing.")


def test_any_tool_can_be_asked_for_by_name() -> None:
    add = tool("add", a="integer", b="integer")
    assert reply('Use the tool add with {"a": 1, "b": 2}', tools=(add,)) == UseTool("add", {"a": 1, "b": 2})
    assert reply("Use the tool add with {oops", tools=(add,)) == Say("I do not understand these arguments.")
    assert reply("use the tool say with hello", tools=(tool("say", text="string"),)) == UseTool(
        "say", {"text": "hello"}
    )


def test_the_answer_table_answers_with_the_result_of_a_tool() -> None:
    assert answer_tool("clock", succeeded=True, text="It is noon.") == Say("It is noon.")
    assert answer_tool("clock", succeeded=True, text=" ") == Say("Done.")
    assert answer_tool("clock", succeeded=False, text="no battery") == Say("The tool clock failed: no battery")


def test_the_answer_table_drops_the_connection_on_request_and_knows_its_instructions() -> None:
    assert reply("Drop the line!") == DropConnection()
    assert reply("What are your instructions?", instructions="Be brief.") == Say("My instructions are: Be brief.")
