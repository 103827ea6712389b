"""A line that is typed while the agent waits is an answer, or nothing."""

from __future__ import annotations

import pytest

from local.terminal.chat import Conversation, consent_in
from segue.wire.frames import Approval, ApprovalRequest

ASKED = Approval(
    status="asked", record=3, requests=(ApprovalRequest(id="i", name="a"), ApprovalRequest(id="j", name="b"))
)


class Recorded:
    """A client that keeps what it is given."""

    def __init__(self, approval: Approval | None) -> None:
        self.approval = approval
        self.said: list[object] = []

    async def send_text(self, text: str) -> None:
        self.said.append(text)

    async def answer(self, approval: Approval, responses: dict[str, object]) -> None:
        self.said.append((approval.record, responses))


@pytest.mark.parametrize(
    ("approval", "line", "said"),
    [
        (None, "y", ["y"]),
        (ASKED, "y", [(3, {"i": True, "j": True})]),
        (ASKED, " NO ", [(3, {"i": False, "j": False})]),
        (ASKED, "what is it?", []),
    ],
)
async def test_a_typed_line_answers_an_open_approval_or_is_said(
    approval: Approval | None, line: str, said: list[object]
) -> None:
    client = Recorded(approval)
    conversation = Conversation("ws://x", "talk", lambda: "t", json_lines=True, modality="text")
    assert await conversation._say(client, line) == bool(said)
    assert client.said == said


@pytest.mark.parametrize(("line", "consent"), [("Yes", True), ("n", False), ("yep", None), ("", None)])
def test_words_of_consent_are_recognized(line: str, consent: bool | None) -> None:
    assert consent_in(line) is consent
