"""``show`` and ``tail``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import click
from rich.text import Text

from segue.cli.follow import Follower
from segue.cli.location import Place, json_option, located
from segue.cli.output import clean, iso, output, print_json
from segue.cli.transcript import number_of, print_agent, print_line, record_line
from segue.clock import Clock
from segue.errors import JournalCorrupt
from segue.history.agent_history import AgentHistory, History
from segue.history.approvals import RecordedApproval
from segue.history.points import Point, find, history_at, points_of
from segue.ids import shown
from segue.journal.reader import StoredJournal
from segue.journal.records import Record
from segue.storage.stores import Stores

POLL_SECONDS = (0.2, 60.0)
"""Shortest and longest time between two looks at a session: a look costs half a read unit, people read slower."""


def tell_damage(damaged: Sequence[JournalCorrupt]) -> None:
    """Name the records that were left out, on the error output."""
    for error in damaged:
        told = f"record {error.record} is damaged, and left out: {error.problem} ({error.key})"
        click.echo(clean(f"{told}; run 'segue sessions verify'"), err=True)


def damage_facts(damaged: Sequence[JournalCorrupt]) -> dict[str, Any]:
    """Return the damage as facts for programs; nothing if nothing was left out."""
    found = [{"record": error.record, "object": error.key, "problem": error.problem} for error in damaged]
    return {"damaged": found} if found else {}


def point_named(journal: StoredJournal, text: str | None) -> Point | None:
    """Return the point that an option names, None for the latest.

    Raises:
        click.UsageError: There is no such point.
    """
    if text is None:
        return None
    try:
        return find(points_of(journal), text)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


at_option = click.option(
    "--at",
    metavar="POINT",
    help="Point in time: a number of records, a commit id, or an ISO 8601 time (UTC).  [default: now]",
)


@click.command()
@click.argument("session")
@at_option
@click.option("--agent", metavar="ID", help="Id of an agent.  [default: all]")
@click.option(
    "--last", type=click.IntRange(min=1), metavar="N", help="Latest messages of each agent to show.  [default: all]"
)
@json_option
@located
def show(place: Place, *, session: str, at: str | None, agent: str | None, last: int | None, as_json: bool) -> None:
    """Print the transcript of a SESSION: who said what and when, and which tools ran.

    Prints what was said to the standard output, and to nothing else.
    """
    key = place.key(session)
    journal = place.existing().journal(session)
    point = point_named(journal, at)
    damaged: list[JournalCorrupt] = []
    history = history_at(journal, point.records if point else None, damaged)
    tell_damage(damaged)
    agents = chosen_agents(history, (agent,) if agent else ())
    if as_json:
        facts = {name: _agent_facts(history.agents[name], journal.records, last) for name in agents}
        told = {"session": shown(key), "point": _point_facts(journal, point), "agents": facts}
        print_json(told | damage_facts(damaged))
        return
    console = output()
    for name in agents:
        if len(agents) > 1:
            console.print(Text(f"agent {name}", style="bold"))
        print_agent(console, history.agents[name], journal.records, last)
    if not any(history.agents[name].messages for name in agents):
        click.echo(f"{shown(key)}: no messages", err=True)


def chosen_agents(history: History, named: Sequence[str]) -> list[str]:
    """The agents that options name, all if they name none.

    Raises:
        click.UsageError: The session does not have one of them.
    """
    refuse_unknown(named, history.agents, "agent", "agents")
    return list(named or history.agents)


def refuse_unknown(named: Sequence[str], there: Collection[str], one: str, several: str) -> None:
    """Refuse names of options that the session does not have.

    Args:
        named: The names.
        there: The names in the session.
        one: For one of them.
        several: For all of them.

    Raises:
        click.UsageError: One is not there.
    """
    for name in named:
        if name not in there:
            raise click.UsageError(f"the session has no {one} {name!r}; its {several}: {', '.join(there) or 'none'}")


def _agent_facts(agent: AgentHistory, records: Sequence[Record], last: int | None) -> dict[str, Any]:
    messages = agent.messages if last is None else agent.messages[max(0, len(agent.messages) - last) :]
    numbers = [number_of(agent, message) for message in messages]
    return {
        "messages": [
            {"record": number, "at": None if number is None else iso(records[number].at), "message": message}
            for number, message in zip(numbers, messages, strict=True)
        ],
        "state": agent.state,
        "system_prompt": agent.system_prompt,
        "tools": [
            {**run, "started_at": iso(run.get("started_at")), "ended_at": iso(run.get("ended_at"))}
            for run in agent.tools.values()
        ],
        "connection": agent.connection,
        "approvals": [_approval_facts(one) for one in agent.approvals],
    }


def _approval_facts(approval: RecordedApproval) -> dict[str, Any]:
    facts: dict[str, Any] = {"record": approval.number, "at": iso(approval.at), "status": approval.status}
    if approval.status == "asked":
        until = iso(int(approval.until * 1000))
        facts |= {"until": until, "requests": list(approval.requests), "tools": list(approval.tools)}
    optional = {"of": approval.of, "reason": approval.why, "code": approval.code}
    return facts | {name: value for name, value in optional.items() if value is not None}


def _point_facts(journal: StoredJournal, point: Point | None) -> dict[str, Any] | None:
    if point is None:
        point = next(iter(points_of(journal)[-1:]), None)
    if point is None:
        return None
    return {"records": point.records, "epoch": point.epoch, "commit_id": point.commit_id, "at": iso(point.at)}


@click.command()
@click.argument("session")
@click.option("--lines", "-n", type=click.IntRange(min=0), default=10, help="Records before the head to begin with.")
@click.option("--interval", type=click.FloatRange(*POLL_SECONDS), default=1.0, help="Seconds between two looks.")
@json_option
@located
def tail(place: Place, *, session: str, lines: int, interval: float, as_json: bool) -> None:
    """Follow a SESSION: print its records as they are committed, until it ends or Ctrl-C.

    Takes no lease, and the session's holder goes on undisturbed. With --json, one line a record.
    """
    key = place.key(session)

    async def begin(stores: Stores, clock: Clock) -> Follower:
        follower = Follower(stores, key, clock, interval)
        await follower.start_before_head(lines)
        return follower

    follower = place.run(begin)
    try:
        while (found := place.run(lambda _stores, _clock: follower.more())) is not None:
            for number, record in found:
                _print_record(number, record, as_json=as_json)
    except KeyboardInterrupt:
        return
    click.echo(f"{shown(key)} has ended", err=True)


def _print_record(number: int, record: Record, *, as_json: bool) -> None:
    at = iso(record.at)
    if as_json:
        facts = {"record": number, "at": at, "agent": record.agent, "kind": record.kind, "data": record.data}
        print_json(facts, line=True)
        return
    console = output()
    for line in record_line(record):
        print_line(console, at, line, number)
