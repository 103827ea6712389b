"""Handshakes: refused without a good token, and the subprotocol echoed with one."""

from __future__ import annotations

from smoke.report import State
from smoke.visit import Outcome, Step, Visit
from smoke.wire import PROTOCOL, open_wire, refusal

REFUSED = frozenset({401, 403})


async def _without_token(visit: Visit) -> Outcome:
    return _refused(await refusal(visit.url, None))


async def _with_a_wrong_token(visit: Visit) -> Outcome:
    # Of the form of a token, so that the authorizer looks at it.
    return _refused(await refusal(visit.url, "e30.e30.c21va2U"))


def _refused(status: int | None) -> Outcome:
    came = "let in" if status is None else f"status {status}"
    return Outcome(came=came, state=State.WELL if status in REFUSED else State.DIFFERS)


async def _with_token(visit: Visit) -> Outcome:
    async with open_wire(visit.url, visit.token) as wire:
        chosen = wire.subprotocol
    if chosen == PROTOCOL:
        return Outcome(came=f"let in, subprotocol {chosen}")
    # Browsers end a connection whose subprotocol is not among those that they offered.
    state = State.KNOWN if visit.emulated and chosen is None else State.DIFFERS
    known = " (the emulator echoes none)" if state is State.KNOWN else ""
    return Outcome(came=f"let in, subprotocol {chosen or 'none'}{known}", state=state)


STEPS = (
    Step("handshake without a token", "status 401 or 403", "docs/security.md", _without_token),
    Step("handshake with a wrong token", "status 401 or 403", "docs/security.md", _with_a_wrong_token),
    Step(
        "handshake with the token",
        f"let in, subprotocol {PROTOCOL} echoed",
        "docs/protocol.md#opening-a-connection",
        _with_token,
        needed=True,
    ),
)
