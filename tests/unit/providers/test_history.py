"""A history as a provider takes it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.providers.connection import history
from worker.providers.connection.history import Cut, fit, without_tools
from worker.providers.table import PROVIDERS, Limits, PublishedLimit

NONE = PublishedLimit(None, "")


def limits(
    *, text_only: bool = True, message: int | None = None, total: int | None = None, first: Any = None
) -> Limits:
    return Limits(
        text_only=text_only,
        message_bytes=PublishedLimit(message, ""),
        total_bytes=PublishedLimit(total, ""),
        first_role=first,
    )


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": text}]}


def agent(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"text": text}]}


def use(number: int) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"toolUse": {"toolUseId": f"t{number}", "name": "weather", "input": {}}}]}


def result(number: int, *, dispatch: bool = False, content: Any = None) -> dict[str, Any]:
    block = {"toolUseId": f"t{number}", "status": "success", "content": content or [{"text": "sunny"}]}
    message: dict[str, Any] = {"role": "user", "content": [{"toolResult": block}]}
    return message | ({"metadata": {"custom": {"bidi": {"kind": "tool_dispatch"}}}} if dispatch else {})


TOOL_TURN = [user("weather?"), use(1), result(1, dispatch=True), use(1), result(1), agent("sunny")]


def texts(messages: list[Any]) -> list[str]:
    return [block["text"] for message in messages for block in message["content"] if "text" in block]


def test_a_history_within_the_limits_is_left_alone():
    assert fit(TOOL_TURN[3:], limits(text_only=False)) == (TOOL_TURN[3:], Cut())


def test_a_tool_call_is_told_once_although_strands_records_it_twice():
    told, cut = fit(TOOL_TURN, limits(text_only=False))
    assert told == [user("weather?"), use(1), result(1), agent("sunny")]
    assert not cut


def test_a_call_that_is_under_way_stays():
    told, _ = fit(TOOL_TURN[:3], limits(text_only=False))
    assert told == TOOL_TURN[:3]


def test_a_provider_that_takes_text_only_is_told_no_tools():
    told, cut = fit(TOOL_TURN, limits())
    assert told == [user("weather?"), agent("sunny")]
    assert cut.tools == 2
    assert not cut


def test_images_in_a_tools_result_become_a_word():
    told, _ = fit([user("x"), use(1), result(1, content=[{"image": {"format": "png"}}])], limits(text_only=False))
    assert told[2]["content"][0]["toolResult"]["content"] == [{"text": "[image]"}]


def test_a_long_message_is_shortened_within_a_character():
    told, cut = fit([user("é" * 100)], limits(message=20))
    assert texts(told) == ["é" * 8 + "…"]
    assert cut == Cut(shortened=1)


def test_the_oldest_turns_are_left_out():
    messages = [user("a" * 40), agent("b" * 40), user("c" * 40), agent("d" * 40)]
    told, cut = fit(messages, limits(total=100))
    assert told == messages[2:]
    assert cut == Cut(dropped=2)


def test_a_share_is_of_what_is_there_and_zero_is_nothing():
    messages = [user("a" * 40), agent("b" * 40), user("c" * 40), agent("d" * 40)]
    assert fit(messages, limits(), 0.5)[0] == messages[2:]
    assert fit(messages, limits(total=1000), 0.5)[0] == messages[2:]
    assert fit(messages, limits(), 0.0)[0] == []


def test_the_first_word_is_the_users_where_that_is_asked_for():
    told, cut = fit([agent("Welcome!"), user("a"), agent("b")], limits(first="user"))
    assert texts(told) == ["a", "b"]
    assert cut.dropped == 1


def test_nothing_of_a_provider_without_limits_is_cut():
    messages = [message for number in range(300) for message in (user(f"{number}" * 100), agent("x" * 2000))]
    for name in ("openai-realtime", "gemini-live"):
        assert fit(messages, PROVIDERS[name].limits) == (messages, Cut())


def test_the_smaller_of_the_limits_that_are_published_for_nova_sonic_holds():
    from strands.bidi.models import bedrock

    nova = PROVIDERS["nova-sonic"].limits
    assert nova.total_bytes.value == min(40 * 1024, bedrock._MAX_HISTORY_TOTAL_BYTES)
    assert nova.message_bytes.value == min(40 * 1024, bedrock._MAX_HISTORY_MESSAGE_BYTES)


def test_limits_without_tools_are_text_only():
    assert without_tools(PROVIDERS["openai-realtime"].limits).text_only


turn = st.one_of(
    st.tuples(st.text("aé \U0001f600", min_size=1, max_size=60).map(user), st.text("bc", min_size=1).map(agent)),
    st.integers(0, 3).map(lambda n: (user("q"), use(n), result(n, dispatch=True), use(n), result(n), agent("ok"))),
    st.integers(4, 6).map(lambda n: (user("q"), use(n), result(n, dispatch=True))),
)


@pytest.mark.slow
@given(
    st.lists(turn, max_size=8), st.booleans(), st.integers(1, 80), st.integers(0, 400), st.sampled_from([1.0, 0.5, 0.0])
)
def test_any_history_fits_and_no_pair_of_tool_use_and_result_is_split(turns, text_only, message, total, share):
    messages = [message for turn in turns for message in turn]
    taken = limits(text_only=text_only, message=message, total=total, first="user")
    told, cut = fit(messages, taken, share)
    assert not told or told[0]["role"] == "user"
    asked: list[str] = []
    for one in told:
        results = [block["toolResult"]["toolUseId"] for block in one["content"] if "toolResult" in block]
        assert results == asked
        asked = [block["toolUse"]["toolUseId"] for block in one["content"] if "toolUse" in block]
        assert sum(len(block.get("text", "").encode()) for block in one["content"]) <= max(message, 3)
    assert not asked
    if text_only:
        size = sum(len(text.encode()) for text in texts(told))
        assert size <= max(total, message, 3)
    assert not share or cut.dropped + len(told) <= len(messages)


def test_the_newest_is_kept_even_if_it_is_alone_too_long():
    told, _ = fit([user("a" * 40), agent("b" * 300)], limits(total=100))
    assert texts(told) == ["b" * 300]


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_every_figure_has_a_source(name: str):
    provider = PROVIDERS[name]
    figures = [provider.limits.message_bytes, provider.limits.total_bytes, provider.connection_seconds]
    assert all(figure.source for figure in figures)
    assert provider.limits.source


@pytest.mark.parametrize("odd", [5, None, ["a"], {"a": 1}], ids=str)
@pytest.mark.parametrize("text_only", [True, False])
def test_fit_survives_metadata_and_content_of_odd_shapes(odd: Any, text_only: bool) -> None:
    messages = [
        {**user("a"), "metadata": odd},
        use(1),
        {**result(1, content=[odd, {"text": odd}]), "metadata": {"custom": {"bidi": odd}}},
        {"role": "user", "content": [{"text": odd}]},
        use(2),
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t2", "content": odd}}]},
    ]

    fitted, _ = fit(messages, limits(text_only=text_only, message=1000))

    assert fitted[0]["content"] == [{"text": "a"}]
    parts = [part for m in fitted for block in m["content"] for part in block.get("toolResult", {}).get("content", ())]
    assert all(isinstance(part["text"], str) for part in parts)


def test_a_long_history_is_measured_once(monkeypatch):
    """An event loop waits meanwhile: measured anew for each turn that is left out, an hour's talk took seconds."""
    measured = 0

    def counted(*given):
        nonlocal measured
        measured += 1
        return bytes_of(*given)

    bytes_of = history._bytes
    monkeypatch.setattr(history, "_bytes", counted)
    whole = [user("word " * 20), agent("word " * 20)] * 1000
    told, cut = fit(whole, PROVIDERS["nova-sonic"].limits)
    assert len(told) + cut.dropped == len(whole)
    assert cut.dropped > 1000
    assert measured < len(whole)
