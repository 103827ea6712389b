"""A visit to a deployment: where it is, who comes, and what is learnt on the way."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from segue.client import Client
from smoke.call import Call
from smoke.report import Line, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Times and repeats of the steps.

    Attributes:
        answer_seconds: For an answer; a model that takes longer does not answer.
        ready_seconds: For a session to become ready.
        hello_seconds: Between two ``hello`` to a session that is not ready yet.
        follow_seconds: In which a session that is held elsewhere comes to the worker of a direct connection; it takes a
            fraction of it.
        stray_seconds: In which strays are looked for.
        ping_pause_seconds: Between two pings.
        repeat_seconds: In which an answer that comes twice comes again.
        rounds: Rounds of frames, of which each is answered with ``received``.
        listening_seconds: Until a caller has understood that the answer will be long.
        redeployed_seconds: From the order until the old tasks are gone: new tasks start, become healthy, and old ones
            drain.
        text_pause_seconds: Between two texts during a redeployment.
    """

    answer_seconds: float = 60.0
    ready_seconds: float = 60.0
    hello_seconds: float = 2.0
    follow_seconds: float = 2.0
    stray_seconds: float = 3.0
    ping_pause_seconds: float = 0.15
    repeat_seconds: float = 1.0
    rounds: int = 10
    listening_seconds: float = 1.0
    redeployed_seconds: float = 900.0
    text_pause_seconds: float = 2.0


@dataclass(slots=True, kw_only=True)
class Visit:
    """Facts that the steps share.

    Attributes:
        url: The deployment's WebSocket address.
        token: A good token.
        session: The session that is used.
        idle_seconds: For the step that waits; 0 leaves it out.
        call: The call that goes on through most steps; None before it.
        offline: True if the model has turned out to be the offline one.
        pace: Times that steps take or wait.
    """

    url: str
    token: str
    session: str = field(default_factory=lambda: f"smoke-{secrets.token_hex(6)}")
    idle_seconds: float = 0.0
    call: Call | None = None
    offline: bool = False
    pace: Pace = field(default_factory=Pace)

    @property
    def emulated(self) -> bool:
        """True for the local emulator, whose addresses have a path of its own."""
        return "/_aws/execute-api/" in self.url

    @property
    def open_call(self) -> Call:
        """The call that goes on."""
        if self.call is None:
            raise ConnectionError("there is no call")
        return self.call

    def client(self) -> Client:
        """A client of the session."""
        return Client(self.url, session=self.session, token=self.token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of a step.

    Attributes:
        came: In words.
        state: How it stands to what was expected.
        figures: Measured values.
    """

    came: str
    state: State = State.WELL
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the story.

    Attributes:
        name: Its name in the report.
        expected: What a deployment that is well does.
        page: The page that explains a difference.
        work: Does it.
        needed: True if nothing after it can be tried when it differs.
    """

    name: str
    expected: str
    page: str
    work: Callable[[Visit], Awaitable[Outcome]]
    needed: bool = False

    def line(self, outcome: Outcome) -> Line:
        """The line of the report."""
        return Line(
            step=self.name,
            expected=self.expected,
            came=outcome.came,
            state=outcome.state,
            page=self.page,
            figures=outcome.figures,
        )


def timed(name: str, seconds: float, expected: float, came: str) -> Outcome:
    """An outcome with a time under a name, well or slow by it."""
    return Outcome(came=came, state=in_time(seconds, expected), figures={name: round(seconds * 1000, 1)})


def in_time(seconds: float, expected: float) -> State:
    """Well, or slow if it took longer than expected."""
    return State.WELL if seconds <= expected else State.SLOW
