"""Events reach every listener, and a terminal that is gone stops nothing."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from local.progress import Elapsed, Event, Progress, TerminalRenderer


def test_a_step_tells_its_start_and_its_end():
    events: list[Event] = []
    progress = Progress(events.append)
    with progress.step("deploying"):
        progress.note("half way")
    with pytest.raises(RuntimeError), progress.step("starting"):
        raise RuntimeError
    assert [(event.state, event.text) for event in events] == [
        ("started", "deploying"),
        ("note", "half way"),
        ("done", "deploying"),
        ("started", "starting"),
        ("failed", "starting"),
    ]
    assert "seconds" not in events[1].as_dict()
    assert events[2].as_dict()["seconds"] >= 0


def test_one_listener_can_stand_in_for_another():
    first: list[Event] = []
    second: list[Event] = []
    show, tell = first.append, second.append
    progress = Progress(show)
    with progress.listening(tell, instead_of=show):
        progress.note("during")
    progress.note("after")
    assert [event.text for event in second] == ["during"]
    assert [event.text for event in first] == ["after"]


@pytest.mark.parametrize("error", [OSError(5, "the terminal is gone"), SystemExit(1)], ids=repr)
def test_a_listener_that_cannot_show_anything_any_more_is_dropped(error):
    calls: list[Event] = []

    def gone(event: Event) -> None:
        calls.append(event)
        raise error

    heard: list[Event] = []
    progress = Progress(gone, heard.append)
    with progress.step("stopping"):
        pass
    assert len(calls) == 1
    assert [event.state for event in heard] == ["started", "done"]


def test_without_a_terminal_there_is_a_plain_line_for_each_finished_step():
    output = io.StringIO()
    renderer = TerminalRenderer(Console(file=output))
    renderer(Event("started", "deploying [stack]"))
    renderer(Event("done", "deploying [stack]", 1.25))
    renderer(Event("note", "w1 is ready"))
    renderer(Event("failed", "draining", 0.5))
    renderer.close()
    assert output.getvalue() == "✓ deploying [stack] 1.2 s\n· w1 is ready\n✗ draining 0.5 s\n"


def test_a_step_under_way_shows_its_seconds():
    now = [100.0]
    elapsed = Elapsed("deploying [the] stacks", lambda: now[0])
    now[0] += 61.4
    assert elapsed.__rich__().plain == "deploying [the] stacks … 61 s"
    console = Console(file=io.StringIO(), force_terminal=True)
    show = TerminalRenderer(console)
    show(Event("started", "deploying the stacks"))
    show(Event("done", "deploying the stacks", 1.0))
    show.close()
    assert "deploying the stacks … 0 s" in console.file.getvalue()
