"""Approvals, asked and answered through the client."""

from __future__ import annotations

import pytest

from segue.client import (
    Client,
)
from segue.wire.frames import (
    AnswerInput,
    Approval,
    ApprovalRequest,
    FrameError,
    Hello,
    TextOutput,
)
from tests.unit.client.clients import client_of, of_kind
from tests.unit.client.conftest import ASKS, Network, events_until, quick

# --- approvals


@pytest.mark.slow
@pytest.mark.parametrize("seed", [None, 0, 1, 2])
async def test_an_approval_is_shown_once_and_its_answer_taken_once(server, seed):
    if seed is not None:
        server.inbound, server.outbound = Network(seed, 0.2), Network(seed + 100, 0.2)
        server.cut_every = 2
    shown = []
    async with Client(server.url, session="s", approvals=True, settings=quick()) as client:
        await client.send_text(ASKS)
        shown += await events_until(client, lambda event: isinstance(event, Approval))
        assert client.approval == shown[-1]
        await client.answer(client.approval, {"i": {"approved": True}})
        shown += await events_until(client, lambda event: isinstance(event, TextOutput))
        await client.flush(timeout=20)
        assert client.approval is None
    assert all(hello.approvals for hello in of_kind(server.heard, Hello))
    assert [approval.status for approval in of_kind(shown, Approval)] == ["asked", "answered"]
    assert [role for role, _, _ in server.journal] == ["user", "ask", "answer", "agent"]
    (answered,) = {frame.seq: frame for frame in of_kind(server.heard, AnswerInput)}.values()
    assert (answered.approval, answered.responses[0].response) == (1, {"approved": True})


async def test_an_answer_that_does_not_fit_is_refused_before_it_has_a_number(server):
    async with Client(server.url, session="s", approvals=True, settings=quick()) as client:
        asked = Approval(status="asked", record=1, requests=(ApprovalRequest(id="i", name="a"),))
        for responses in ({}, {"j": True}, {"i": True, "j": True}):
            with pytest.raises(ValueError, match="answer each request"):
                await client.answer(asked, responses)
        for response in (None, float("nan"), object(), "x" * 40_000):
            with pytest.raises(FrameError):
                await client.answer(asked, {"i": response})
        assert client.unacknowledged == 0
        await client.send_text("hi")
        await client.flush(timeout=20)
    assert of_kind(server.heard, AnswerInput) == []


async def test_a_client_that_says_nothing_of_approvals_cannot_answer_them(server):
    async with client_of(server):
        pass
    assert not of_kind(server.heard, Hello)[0].approvals
