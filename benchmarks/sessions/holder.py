"""A process that holds sessions when it is told to, for what happens between processes.

    python -m benchmarks.sessions.holder '<Task as JSON>'      a command a line in, an answer a line out

Its endpoint is a port that it listens on, so that whether it lives can be seen from outside. Times are of the
system's monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from strands.bidi import BidiAgent

from benchmarks.measuring.metering import Meter
from benchmarks.sessions.managers import Place, TimedModel
from segue import GuardedS3SessionManager, LeaseSettings, SegueError
from segue.lease.item import GuardItem

LEASE = LeaseSettings(duration=3.0, heartbeat=0.9)
LONG_LEASE = LeaseSettings(duration=600.0, heartbeat=0.9)
"""Of holders that are killed: longer than a run, so that what takes them over has only the evidence of their death."""

_PROBE_SECONDS = 0.25
_PROBES = 2


class Task(msgspec.Struct, kw_only=True):
    """Place of the sessions to hold, and whether their lease outlasts the run."""

    place: Place
    delay_s: float
    long_lease: bool = False


class Command(msgspec.Struct, kw_only=True):
    """The next command, and its session."""

    do: Literal["open", "say", "close"]
    session_id: str = ""


class Answer(msgspec.Struct, kw_only=True):
    """Beginning and end of a task, in seconds of the monotonic clock, and its error, if it had one."""

    began: float
    done: float
    error: str = ""


async def certainly_dead(item: GuardItem) -> bool:
    """Evidence of death: the holder's address refuses, or does not answer twice in a row."""
    address = urlsplit(item.endpoint or "")
    for _ in range(_PROBES):
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                _, writer = await asyncio.open_connection(address.hostname, address.port)
        except ConnectionRefusedError:
            return True
        except (OSError, TimeoutError):
            continue
        writer.close()
        return False
    return True


async def hold(task: Task) -> None:
    """Do what the lines of standard input say, until they end."""
    meter = Meter(task.delay_s)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    open_session: tuple[GuardedS3SessionManager, BidiAgent] | None = None

    async def open_manager(session_id: str) -> tuple[GuardedS3SessionManager, BidiAgent]:
        manager = GuardedS3SessionManager(
            session_id,
            bucket=task.place.bucket,
            lock_table=task.place.lock_table,
            boto_session=meter.session,
            lease=LONG_LEASE if task.long_lease else LEASE,
            endpoint=endpoint,
            probe=certainly_dead,
        )
        await manager.open()
        return manager, BidiAgent(model=TimedModel(), session_manager=manager)

    while line := await asyncio.to_thread(sys.stdin.readline):
        command, error = msgspec.json.decode(line, type=Command), ""
        began = time.monotonic()
        try:
            if command.do == "open":
                open_session = await open_manager(command.session_id)
            elif open_session is not None:
                manager, agent = open_session
                if command.do == "say":
                    manager.append_message({"role": "user", "content": [{"text": "Are you still there?"}]}, agent)
                    await manager.flush()
                else:
                    await manager.close()
        except SegueError as refusal:
            error = type(refusal).__name__
        answer = Answer(began=began, done=time.monotonic(), error=error)
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    logging.getLogger("segue").addHandler(logging.NullHandler())  # being fenced is what is measured here
    asyncio.run(hold(msgspec.json.decode(sys.argv[1], type=Task)))
