"""Display of a conversation, and the moment at which an answer is whole."""

from __future__ import annotations

import pytest

from local.terminal.transcript import CLEAR_LINE, Turn, View
from segue.lease.item import Known
from segue.wire import frames


def said(text: str, *, final: bool = True, role: str = "assistant") -> frames.Transcript:
    return frames.Transcript(epoch=1, seq=1, role=role, text=text, final=final, record=3 if final else None)


def tool(status: str, tool_use_id: str = "t1") -> frames.Tool:
    return frames.Tool(epoch=1, seq=1, name="clock", tool_use_id=tool_use_id, status=status)


def ready(epoch: int, history: int = 0) -> frames.Ready:
    return frames.Ready(epoch=epoch, seq=1, session="s", known=Known(upto=0, beyond=()), history=history, head=0)


class Screen:
    def __init__(self, *, interactive: bool) -> None:
        self.text = ""
        self.view = View(self.write, interactive=interactive)

    def write(self, text: str) -> None:
        self.text += text


@pytest.fixture
def terminal() -> Screen:
    return Screen(interactive=True)


@pytest.fixture
def pipe() -> Screen:
    return Screen(interactive=False)


def test_an_answer_streams_and_its_final_form_adds_only_what_is_missing(terminal):
    for frame in (said("Hello,", final=False), said("Hello, Ali", final=False), said("Hello, Alice.")):
        terminal.view.show(frame)
    assert terminal.text == "agent> Hello, Alice.\n"


def test_a_final_form_that_differs_replaces_what_was_streamed(terminal):
    terminal.view.show(said("Hello, Ellis", final=False))
    terminal.view.show(said("Hello, Alice."))
    assert terminal.text == f"agent> Hello, Ellis{CLEAR_LINE}agent> Hello, Alice.\n"


def test_no_prompt_stands_in_an_answer_to_another_client(terminal):
    terminal.view.prompt()
    for frame in (said("Your", final=False), said("Your name", final=False), said("Your name is Alice.")):
        terminal.view.show(frame)
        terminal.view.prompt()
    assert terminal.text == f"you> {CLEAR_LINE}agent> Your name is Alice.\nyou> "


def test_a_pipe_gets_whole_answers_and_no_control_characters(pipe):
    pipe.view.typed("hi")
    for frame in (said("hi", role="user"), said("Hello, ", final=False), said("Hello, Alice."), ready(4)):
        pipe.view.show(frame)
    assert pipe.text == "you> hi\nagent> Hello, Alice.\n· session s, epoch 4, 0 messages so far\n"


def test_transcript_shows_spoken_input_and_not_typed_input(terminal):
    terminal.view.typed("hi ")
    terminal.view.show(said("hi", role="user"))
    assert terminal.text == ""
    terminal.view.show(said("good morning", role="user"))
    assert "good morning" in terminal.text


def test_a_new_epoch_is_told_once(pipe):
    for frame in (ready(4), ready(4), frames.Moved(epoch=4, seq=2), ready(6, history=5)):
        pipe.view.show(frame)
    assert pipe.text.splitlines() == [
        "· session s, epoch 4, 0 messages so far",
        "· the worker is handing the session over",
        "· epoch 4 -> 6, 5 messages restored",
    ]


def test_a_pause_is_told(pipe):
    for active in (True, False):
        pipe.view.show(frames.Pause(epoch=4, active=active, reason="storage"))
    assert pipe.text.splitlines() == ["· storage is slow, the answer waits for it", "· it goes on"]


def test_a_note_does_not_end_up_behind_the_prompt(terminal):
    terminal.view.prompt()
    terminal.view.prompt()
    terminal.view.note("w1 was ended by SIGKILL")
    assert terminal.text == f"you> {CLEAR_LINE}\x1b[2m· w1 was ended by SIGKILL\x1b[0m\nyou> "


def test_an_answer_is_whole_at_its_final_transcript():
    turn = Turn()
    assert turn.answered
    turn.note_input()
    for frame in (said("What", final=False), said("hi", role="user")):
        turn.note_frame(frame)
        assert not turn.answered
    turn.note_frame(said("What time"))
    assert turn.answered


def test_an_answer_with_a_tool_is_whole_after_what_follows_the_result():
    turn = Turn()
    turn.note_input()
    for frame in (said("Let me look."), tool("started"), said("One moment."), tool("success")):
        turn.note_frame(frame)
    assert not turn.answered
    turn.note_frame(said("It is noon."))
    assert turn.answered


def test_a_tool_cut_short_by_a_takeover_is_not_waited_for():
    turn = Turn()
    turn.note_input()
    for frame in (tool("started"), ready(7), said("Sorry, again?")):
        turn.note_frame(frame)
    assert turn.answered


def test_a_corrected_transcript_is_shown_as_a_note_and_ends_no_turn(pipe):
    pipe.view.show(said("One. Two."))
    cut = frames.Transcript(epoch=1, seq=2, role="assistant", text="One.", final=True, record=4, replaces=3)
    pipe.view.show(cut)
    assert pipe.text == "agent> One. Two.\n· of that was heard: One.\n"
    turn = Turn()
    turn.note_input()
    turn.note_frame(cut)
    assert not turn.answered


def approval(status: str = "asked", **more: object) -> frames.Approval:
    requests = (frames.ApprovalRequest(id="i", name="approve", reason="sure?", tool_use_id="t1"),)
    tools = (frames.WaitingTool(tool_use_id="t1", name="delete", input={"key": "a"}),)
    asked = {"requests": requests, "tools": tools, "seconds": 300.0} if status == "asked" else {}
    return frames.Approval(epoch=1, seq=1, status=status, record=3, **asked, **more)


def test_an_approval_is_shown_with_its_tool_and_ends_the_turn_until_answered(pipe):
    turn = Turn()
    turn.note_input()
    for frame in (tool("started"), approval()):
        turn.note_frame(frame)
        pipe.view.show(frame)
    assert turn.answered
    assert pipe.text.splitlines()[1:] == [
        '· approval approve of delete({"key": "a"}): sure?',
        "· y or n, within 300 s?",
    ]
    turn.note_input()
    for frame in (approval("answered"), tool("success")):
        turn.note_frame(frame)
        assert not turn.answered
    turn.note_frame(said("Deleted."))
    assert turn.answered


def test_closing_of_an_approval_is_shown(pipe):
    pipe.view.show(approval("expired", of=3, reason="no answer"))
    pipe.view.show(approval("answered", of=3))
    assert pipe.text == "· approval expired: no answer\n· approval answered\n"
