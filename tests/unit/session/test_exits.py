"""The end of a program that closes nothing: its sessions are released, and what is not written is named."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from segue import GuardedFileSessionManager
from tests.support.programs import Programs
from tests.unit.session.ended_programs import AGENT, item, texts


@pytest.mark.slow
def test_three_short_programs_one_after_the_other_do_not_wait_for_each_other(program: Programs, tmp_path: Path) -> None:
    for number in range(3):
        ended = program(f"{AGENT}\nagent('Hello {number}')", tmp_path)
        assert ended.stderr == ""

    assert texts(tmp_path) == [text for number in range(3) for text in (f"Hello {number}", f"You said: Hello {number}")]


ENDS: dict[str, tuple[str, int]] = {
    "sys.exit": ("agent('Hello'); sys.exit(3)", 3),
    "an exception": ("agent('Hello'); raise KeyError('x')", 1),
    "Ctrl-C": ("agent('Hello'); raise KeyboardInterrupt", -signal.SIGINT),
    "an event loop that has ended": ("asyncio.run(agent.invoke_async('Hello'))", 0),
    "a thread that outlives the main thread": (
        """
def late():
    threading.main_thread().join()
    manager.append_message({'role': 'user', 'content': [{'text': 'Hello'}]}, agent)
    manager.flush_sync()
threading.Thread(target=late).start()
""",
        0,
    ),
    "a daemon thread with the agent": (
        "thread = threading.Thread(target=agent, args=('Hello',), daemon=True); thread.start(); thread.join()",
        0,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDS)
def test_a_program_that_ends_normally_releases(program: Programs, tmp_path: Path, name: str) -> None:
    end, code = ENDS[name]

    program(f"{AGENT}\n{end}", tmp_path, code=code)

    assert texts(tmp_path)[0] == "Hello"


@pytest.mark.slow
def test_a_voice_agent_that_was_not_stopped_is_released(program: Programs, tmp_path: Path) -> None:
    program(
        """
        async def talk():
            manager = GuardedFileSessionManager("talk", sys.argv[1], acquire_timeout=0.0, durability="gate")
            await manager.open()
            agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
            await agent.start()
            for number in range(50):
                await agent.send(str(number))
            return agent

        agent = asyncio.run(talk())
        """,
        tmp_path,
    )

    assert texts(tmp_path) == [str(number) for number in range(50)]


@pytest.mark.slow
def test_a_state_change_just_before_exit_is_recorded(program: Programs, tmp_path: Path) -> None:
    program(f"{AGENT}\nagent('Hello')\nagent.state.set('seen', True)", tmp_path)

    with GuardedFileSessionManager("talk", tmp_path, acquire_timeout=0.0) as manager:
        assert manager.history.agents["default"].state == {"seen": True}


@pytest.mark.slow
def test_a_program_that_closed_everything_writes_nothing_at_its_end(program: Programs, tmp_path: Path) -> None:
    ended = program(
        f"""{AGENT}
agent('Hello')
manager.close_sync()
agent.state.set('later', True)
print((open(sys.argv[1] + "/guard/default/talk.json").read()))
""",
        tmp_path,
    )

    assert (tmp_path / "guard" / "default" / "talk.json").read_text() == ended.stdout.strip()


HUNG = """
import segue.session.open_handles
from tests.support.memory_manager import MemorySessionManager, MemoryStorage, kind_of
segue.session.open_handles.EXIT_TIMEOUT_SECONDS = 0.3
storage = MemoryStorage()
manager = MemorySessionManager("talk", storage=storage, durability="gate")
other = MemorySessionManager("other", storage=storage)
other.open_sync()
agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
manager.flush_sync()
async def hang(operation, what):
    if "other" not in (what if isinstance(what, str) else what.session_key):
        await asyncio.Event().wait()
storage.before = hang
"""


@pytest.mark.slow
def test_storage_that_hangs_is_waited_for_in_bounds_and_what_it_did_not_take_is_named(
    program: Programs, tmp_path: Path
) -> None:
    ended = program(f"{HUNG}\nmanager.append_message({{'role': 'user', 'content': [{{'text': 'Lost'}}]}}, agent)")

    assert ended.stderr.splitlines()[-1] == (
        "segue: session default/talk: 1 record was not written; storage does not answer; "
        "not released, its lease expires in 10 s"
    )
    assert "default/other" not in ended.stderr


@pytest.mark.slow
def test_a_wait_at_exit_is_logged_after_a_second(program: Programs, tmp_path: Path) -> None:
    slow = HUNG.replace("0.3", "10.0").replace("await asyncio.Event().wait()", "await asyncio.sleep(0.5)")

    ended = program(f"{slow}\nmanager.append_message({{'role': 'user', 'content': [{{'text': 'Late'}}]}}, agent)")

    assert ended.stderr.startswith("the program ends, sessions that wait for storage: 1, for up to")


@pytest.mark.slow
def test_one_agent_that_cannot_be_recorded_keeps_no_other_from_storage(program: Programs, tmp_path: Path) -> None:
    ended = program(
        f"""{AGENT}
from tests.support.sessions import recorder_of
agent('Hello')
other = GuardedFileSessionManager("other", sys.argv[1], acquire_timeout=0.0)
broken = Agent(model=FakeModel(), session_manager=other, callback_handler=None)
def fails(): raise RuntimeError("dictionary changed size during iteration")
recorder_of(other).state = fails
""",
        tmp_path,
    )

    assert "session default/other: what changed last was not recorded: dictionary changed size" in ended.stderr
    assert texts(tmp_path)[0] == "Hello"


@pytest.mark.slow
@pytest.mark.parametrize("notices", ["at its end", "before"])
def test_a_session_that_another_holder_took_is_logged_at_exit_and_left_alone(
    program: Programs, tmp_path: Path, notices: str
) -> None:
    ended = program(
        f"""{AGENT}
import subprocess
agent('Hello')
subprocess.run([sys.executable, "-c", '''if True:
    import sys
    from segue import GuardedFileSessionManager
    from tests.support.crash import certainly_dead
    GuardedFileSessionManager("talk", sys.argv[1], probe=certainly_dead, holder="heir").open_sync()
    import os
    os._exit(0)  # as a kill
''', sys.argv[1]], check=True)
agent.state.set('late', True)
if {notices == "before"}:
    manager._runtime.run_sync(manager._session.heartbeat._send())
""",
        tmp_path,
    )

    # Its heartbeat may have found out before.
    assert re.search(r"session default/talk: (1 record was not written|what changed last was not)", ended.stderr)
    assert "taken over by 'heir'" in ended.stderr
    assert item(tmp_path).holder == "heir"


@pytest.mark.slow
def test_records_that_a_taken_session_still_has_are_named_with_the_reason(program: Programs) -> None:
    ended = program(
        f"""{HUNG}
from segue import SessionFenced
manager.append_message({{'role': 'user', 'content': [{{'text': 'Lost'}}]}}, agent)
manager._session.writer.fail(SessionFenced(1, "heir", "default/talk"))
manager._session.lease.forget()
"""
    )

    assert (
        "session default/talk: 1 record was not written; session 'default/talk' was taken over by 'heir'"
        in ended.stderr
    )


@pytest.mark.slow
def test_an_opening_whose_callers_gave_up_leaves_no_lease(program: Programs, tmp_path: Path) -> None:
    holder = program(f"{AGENT}\nagent('Hello')\nos._exit(0)", tmp_path)  # as a kill: its lease runs on
    assert holder.stderr == ""

    ended = program(
        """
        manager = GuardedFileSessionManager("talk", sys.argv[1], acquire_timeout=60.0)
        def wait():
            with contextlib.suppress(BaseException):
                manager.open_sync()
        threading.Thread(target=wait, daemon=True).start()
        while not manager._opening._under_way:
            time.sleep(0.01)
        """,
        tmp_path,
    )

    assert ended.stderr == ""
    assert item(tmp_path).epoch == 1


@pytest.mark.slow
def test_the_library_installs_no_signal_handler(program: Programs, tmp_path: Path) -> None:
    program(
        f"""
        import signal
        before = {{number: signal.getsignal(number) for number in signal.valid_signals()}}
        {"; ".join(line for line in AGENT.strip().splitlines())}
        agent("Hello")
        asyncio.run(agent.invoke_async("Hello again"))
        manager.close_sync()
        assert before == {{number: signal.getsignal(number) for number in signal.valid_signals()}}
        """,
        tmp_path,
    )


@pytest.mark.slow
def test_a_directory_that_the_program_made_for_itself_is_gone_after_it(program: Programs, tmp_path: Path) -> None:
    ended = program(
        """
        import tempfile
        made = tempfile.TemporaryDirectory(dir=sys.argv[1])
        agent = Agent(model=FakeModel(), session_manager=GuardedFileSessionManager("talk", made.name))
        agent("Hello")
        """,
        tmp_path,
    )

    assert ended.stderr == ""
    assert list(tmp_path.iterdir()) == []
