"""Acquisitions, handoffs between two processes, and takeovers from dead and hung ones."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.measuring.endpoint import ROOT, BenchmarkError, client_environment
from benchmarks.measuring.figures import Handover, Spread
from benchmarks.sessions.histories import prepare
from benchmarks.sessions.holder import LEASE, Answer, Task
from benchmarks.sessions.managers import Place

SESSION = "handed-around"
_HISTORY = 200


class Holder:
    """A holder in a process of its own."""

    def __init__(self, task: Task, endpoint: str) -> None:
        """Start the process."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sessions.holder", msgspec.json.encode(task).decode()],
            env=client_environment(endpoint),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Return the process itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, whatever state it is in."""
        self._process.kill()
        self._process.communicate()

    def request(self, do: str, session_id: str = "") -> Answer:
        """Have something done, and wait for it.

        Raises:
            BenchmarkError: The process is gone.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode({"do": do, "session_id": session_id}).decode() + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError(f"a holder ended at {do!r}: its error is above")
        return msgspec.json.decode(line, type=Answer)

    def perform(self, do: str, session_id: str = "") -> Answer:
        """Have something done that must succeed, and wait for it."""
        answer = self.request(do, session_id)
        if answer.error:
            raise BenchmarkError(f"{do!r} ended with {answer.error}")
        return answer

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()


def measure(
    place: Place, endpoint: str, delay_s: float, *, handoffs: int, takeovers: int, say: Callable[[str], None]
) -> Handover:
    """Measure everything that happens between processes.

    Args:
        place: Where sessions are.
        endpoint: The emulator.
        delay_s: Seconds added to each request.
        handoffs: How often to hand off.
        takeovers: How often to kill, and how often to stop, a holder.
        say: Tells of progress.
    """
    task, lasting = (Task(place=place, delay_s=delay_s, long_lease=long) for long in (False, True))
    tasks = [task, task, *[lasting] * takeovers, *[task] * takeovers]
    prepare("segue", SESSION, _HISTORY, place, endpoint)
    with ExitStack() as processes:  # all at once: starting takes longer than what is measured
        holder, successor, *victims = (processes.enter_context(Holder(each, endpoint)) for each in tasks)
        say("acquiring, committing")
        for each in (holder, successor):  # loads and connects what is loaded and connected once
            each.perform("open", f"warm-{id(each)}")
            each.perform("close")
        new = []
        for number in range(handoffs):
            new.append(_ms(holder.perform("open", f"new-{number}")))
            holder.perform("close")
        acquired = holder.perform("open", SESSION)
        commits = [_ms(holder.perform("say")) for _ in range(handoffs)]
        say("handing off")
        opened, released, gaps = [_ms(acquired)], [], []
        for _ in range(handoffs):
            closed, ready = holder.perform("close"), successor.perform("open", SESSION)
            opened.append(_ms(ready))
            released.append(_ms(closed))
            gaps.append((ready.done - closed.began) * 1e3)
            holder, successor = successor, holder
        holder.perform("close")
        killed = _takeovers(signal.SIGKILL, victims[:takeovers], holder, say)
        stopped = _takeovers(signal.SIGSTOP, victims[takeovers:], holder, say)
    return Handover(
        acquire_new=Spread.of(new),
        acquire=Spread.of(opened),
        commit=Spread.of(commits),
        handoff=Spread.of(gaps),
        release=Spread.of(released),
        takeover_killed=Spread.of([ms for ms, _ in killed]),
        takeover_stopped=Spread.of([ms for ms, _ in stopped]),
        lease_ms=int(LEASE.duration * 1000),
        fenced=sum(error == "SessionFenced" for _, error in stopped),
        history=_HISTORY,
    )


def _takeovers(
    number: signal.Signals, victims: Sequence[Holder], successor: Holder, say: Callable[[str], None]
) -> list[tuple[float, str]]:
    """Kill or stop holders; returns how long taking over took, and what each holder found when it was woken."""
    outcomes = []
    for holder in victims:
        say(f"taking over after {number.name}")
        holder.perform("open", SESSION)
        holder.signal(number)
        takeover_ms = _ms(successor.perform("open", SESSION))
        error = ""
        if number == signal.SIGSTOP:
            holder.signal(signal.SIGCONT)
            error = holder.request("say").error
        outcomes.append((takeover_ms, error))
        successor.perform("close")
    return outcomes


def _ms(answer: Answer) -> float:
    return (answer.done - answer.began) * 1e3
