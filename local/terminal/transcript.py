"""A conversation as a terminal shows it: frames in, text out. No I/O and no clock of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from segue.wire import frames

USER_PROMPT: Final = "you> "
AGENT_PROMPT: Final = "agent> "
CLEAR_LINE: Final = "\r\x1b[K"


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Turn:
    """Turn of one conversation: whether the last input has been answered.

    An answer ends with a final transcript or text of the agent while no tool is at work: what is said before a tool's
    result ("let me look") is not the answer. An approval that is asked is one, too: it waits for the user.
    """

    def __init__(self) -> None:
        self._waiting = False
        self._spoken = False
        self._approval_open = False
        self._tools: set[str] = set()

    @property
    def answered(self) -> bool:
        """True if no answer is waited for."""
        return not self._waiting or self._approval_open or (self._spoken and not self._tools)

    def note_input(self) -> None:
        """Note that input was sent."""
        self._waiting, self._spoken, self._approval_open = True, False, False

    def note_frame(self, frame: frames.ServerFrame) -> None:
        """Follow one frame."""
        match frame:
            case frames.Tool(status="started"):
                self._tools.add(frame.tool_use_id)
                self._spoken = False
            case frames.Tool():
                self._tools.discard(frame.tool_use_id)
                self._spoken = False
            case frames.Approval():
                self._approval_open, self._spoken = frame.status == "asked", False
            case frames.Transcript(replaces=int()):
                pass  # of the answer before
            case frames.Transcript(role="assistant", final=True) | frames.TextOutput():
                self._spoken = True
            case frames.Ready():
                self._tools.clear()  # a new holder says again what is missing
            case _:
                pass


class View:
    """Writer of a conversation as it happens.

    Args:
        write: Takes text as it is to appear.
        interactive: Whether a person types at a prompt beside it; otherwise every line stands for itself.
    """

    def __init__(self, write: Callable[[str], object], *, interactive: bool) -> None:
        self._write = write
        self._interactive = interactive
        self._streaming = ""
        self._typed: set[str] = set()
        self._epoch: int | None = None
        self._prompting = False

    def typed(self, text: str) -> None:
        """Note what the user typed, so that its transcript is not shown as news."""
        self._typed.add(text.strip())
        self._prompting = False
        if not self._interactive:
            self._write(f"{USER_PROMPT}{text}\n")

    def prompt(self) -> None:
        """Show that it is the user's turn, unless an answer is being shown: another client may have asked for it."""
        if self._interactive and not self._prompting and not self._streaming:
            self._write(USER_PROMPT)
            self._prompting = True

    def note(self, text: str) -> None:
        """Show something that is not part of the conversation."""
        self._end_stream()
        self._line(self._dim(f"· {text}"))

    def show(self, frame: frames.ServerFrame) -> None:
        """Show one frame."""
        match frame:
            case frames.Transcript(replaces=int()):
                self.note(f"of that was heard: {frame.text}")
            case frames.Transcript(role="assistant"):
                self._agent(frame.text, final=frame.final)
            case frames.Transcript(role="user", final=True):
                if frame.text.strip() not in self._typed:
                    self._end_stream()
                    self._line(f"{USER_PROMPT}{frame.text} {self._dim('(heard)')}")
            case frames.TextOutput():
                self._agent(frame.text, final=True)
            case frames.Tool():
                self.note(f"tool {frame.name}: {frame.status}")
            case frames.Approval():
                self._approval(frame)
            case frames.Ready():
                self._ready(frame)
            case frames.BargeIn():
                self._end_stream()
            case _:
                self._show_notice(frame)

    def _show_notice(self, frame: frames.ServerFrame) -> None:
        match frame:
            case frames.Moved():
                self.note("the worker is handing the session over")
            case frames.Pause():
                self.note("storage is slow, the answer waits for it" if frame.active else "it goes on")
            case frames.Restart():
                self.note(f"the model's connection was renewed ({frame.reason})")
            case frames.Error():
                self.note(f"error {frame.code}: {frame.message}")
            case _:
                pass

    def _approval(self, frame: frames.Approval) -> None:
        """Show what is asked, and that y or n is an answer to all of it; or what became of it."""
        if frame.status != "asked":
            self.note(f"approval {frame.status}{f': {frame.reason}' if frame.reason else ''}")
            return
        tools = {tool.tool_use_id: f" of {tool.name}({_json(tool.input)})" for tool in frame.tools}
        for request in frame.requests:
            reason = "" if request.reason is None else f": {_json(request.reason)}"
            self.note(f"approval {request.name}{tools.get(request.tool_use_id or '', '')}{reason}")
        self.note(f"y or n, within {frame.seconds or 0:.0f} s?")

    def _ready(self, frame: frames.Ready) -> None:
        if frame.epoch == self._epoch:
            return
        if self._epoch is None:
            self.note(f"session {frame.session}, epoch {frame.epoch}, {frame.history} messages so far")
        else:
            self.note(f"epoch {self._epoch} -> {frame.epoch}, {frame.history} messages restored")
        self._epoch = frame.epoch

    def _agent(self, text: str, *, final: bool) -> None:
        """Show an answer; each partial form of it is all that was said so far."""
        end = "\n" if final else ""
        if not self._interactive:
            if final:
                self._write(f"{AGENT_PROMPT}{text}\n")
            return
        if self._streaming and text.startswith(self._streaming):
            self._write(text[len(self._streaming) :] + end)
        else:  # it begins, or what was heard turned out otherwise
            self._write(f"{CLEAR_LINE if self._prompting or self._streaming else ''}{AGENT_PROMPT}{text}{end}")
        self._prompting = False
        self._streaming = "" if final else text

    def _end_stream(self) -> None:
        if self._streaming:
            self._write("\n")
            self._streaming = ""

    def _line(self, text: str) -> None:
        self._write(f"{CLEAR_LINE if self._prompting else ''}{text}\n")
        if self._prompting:
            self._write(USER_PROMPT)

    def _dim(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self._interactive else text
