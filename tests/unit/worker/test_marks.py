"""Finding the record that an event belongs to."""

from __future__ import annotations

from strands.hooks import HookRegistry, MessageAddedEvent, MessageUpdatedEvent

from shared.conversation.record_positions import Mark, Marks


class Recorded:
    """Messages pass hooks; a manager in the middle numbers them."""

    def __init__(self) -> None:
        self.position = 0
        self.records: dict[str, int] = {}
        self.marks = Marks(self.records.get, lambda: self.position)
        self.hooks = HookRegistry()
        self.hooks.add_callback([MessageAddedEvent, MessageUpdatedEvent], self._record, order=-101)
        self.marks.register(self.hooks)

    def _record(self, event) -> None:
        if event.message["content"]:
            self.records[event.message["tracking_id"]] = self.position
            self.position += 1

    def added(self, tracking_id, content=(), **bidi):
        message = {"tracking_id": tracking_id, "role": "user", "content": list(content)}
        message["metadata"] = {"custom": {"bidi": bidi}}
        self.hooks.invoke_callbacks(MessageAddedEvent(agent=None, message=message))
        return message

    def updated(self, tracking_id, text, status="complete"):
        message = {"tracking_id": tracking_id, "role": "assistant", "content": [{"text": text}]}
        message["metadata"] = {"custom": {"bidi": {"kind": "transcript", "status": status}}}
        self.hooks.invoke_callbacks(MessageUpdatedEvent(None, tracking_id, message))


def test_a_transcript_is_found_by_what_it_says_once():
    recorded = Recorded()
    recorded.updated("a", "Yes.")
    recorded.updated("b", "Yes.")
    assert recorded.marks.of_block("transcript", "assistant", "Yes.") == Mark(0, 1)
    assert recorded.marks.of_block("transcript", "assistant", "Yes.") == Mark(1, 2)
    assert recorded.marks.of_block("transcript", "assistant", "Yes.") is None


def test_a_transcript_whose_event_never_came_is_passed_over():
    recorded = Recorded()
    recorded.updated("a", "Lost with its connection.")
    recorded.updated("b", "Cut", status="incomplete")
    recorded.updated("c", "Shown.")
    assert recorded.marks.unshown == {0, 2}
    assert recorded.marks.of_block("transcript", "assistant", "Shown.") == Mark(2, 3)
    assert recorded.marks.unshown == set()


def test_a_tool_call_is_where_it_was_made_and_its_result_where_it_came():
    recorded = Recorded()
    use = {"toolUse": {"toolUseId": "u1", "name": "weather", "input": {}}}
    recorded.added("call", [use])
    recorded.added("again", [use])
    result = recorded.added("result", [{"toolResult": {"toolUseId": "u1"}}], kind="tool_result")
    assert recorded.marks.of_tool_use("u1") == Mark(0, 1)
    assert recorded.marks.of_message(result) == Mark(2, 3)
    assert recorded.marks.of_message(result) is None


def test_the_remembered_messages_are_bounded():
    recorded = Recorded()
    for number in range(1000):
        recorded.updated(str(number), str(number))
        recorded.added(f"t{number}", [{"toolUse": {"toolUseId": f"u{number}", "name": "x", "input": {}}}])
    assert len(recorded.marks.unshown) <= 512
