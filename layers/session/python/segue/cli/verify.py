"""The command ``verify``."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from segue.admin.checks import Finding
from segue.admin.delete_release import session_by_hand, watching
from segue.admin.skip_damaged import Skipped, skip_damaged
from segue.admin.verify import Report
from segue.admin.verify import verify as verify_session
from segue.cli.delete_release import refusal
from segue.cli.location import Place, json_option, located
from segue.cli.output import clean, print_json, print_table, progress, waiting
from segue.clock import Clock
from segue.errors import JournalCorrupt, SegueError, SessionHeld, SessionNotFound, StorageRefused
from segue.ids import shown
from segue.storage.stores import Stores


@click.command()
@click.argument("session", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Check all sessions, or all of --principal.")
@click.option("--repair", is_flag=True, help="Append records that make readers skip damaged ones.")
@json_option
@located
@click.pass_context
def verify(
    ctx: click.Context, place: Place, *, session: tuple[str, ...], everything: bool, repair: bool, as_json: bool
) -> None:
    """Check SESSIONs object by object and print what is wrong. Changes nothing, and needs no lease.

    With --repair, a session with damaged records is taken as any other program would take it, their bytes are saved
    beside it, and records are appended that make readers skip them. No object is rewritten, and no record changes its
    number. A holder that lives keeps its session, and has to be stopped first. An object that is missing or damaged
    as a whole is not helped by this.

    Exits with 1 if there is damage or a warning. Orphans and other notes are harmless.
    """
    if everything == bool(session):
        raise click.UsageError("name sessions, or say --all")
    if everything:
        prefix = "" if place.principal is None else f"{place.principal}/"
        keys = place.run(lambda stores, _: stores.guard.keys(prefix))
    else:
        keys = [place.key(one) for one in session]
    reports = [_checked(place, key) for key in keys]
    if repair:
        reports = [_repaired(place, report) for report in reports]
    if as_json:
        print_json([_facts(report) for report in reports])
    else:
        _print(reports)
    if not all(report.ok for report in reports):
        ctx.exit(1)


def _checked(place: Place, key: str) -> Report:
    with progress(f"checking {shown(key)}") as advance:
        try:
            return place.run(lambda stores, clock: verify_session(stores, key, clock, advance))
        except SessionNotFound as error:  # the other sessions that were named are still checked
            return Report(key, "absent", findings=(Finding("warning", "absent", key, str(error)),))
        except StorageRefused as error:
            return Report(key, "unreadable", findings=(Finding("warning", "refused", key, str(error)),))


_OF_RECORDS = frozenset({"record", "history"})
"""Findings that skipping a record helps."""


def _repaired(place: Place, report: Report) -> Report:
    if report.item is None or not any(one.code in _OF_RECORDS for one in report.damage):
        return report
    key, patience = report.session_key, watching(report.item)
    with waiting(f"waiting for {report.item.holder or shown(key)}"):
        try:
            skipped = place.run(lambda stores, clock: _skip(stores, key, clock, patience))
        except SessionHeld as held:
            raise SegueError(refusal(key, held, waited=True)) from held
        except JournalCorrupt as error:
            click.echo(clean(f"{shown(key)} is not repaired: {error}"), err=True)
            return report
    for one in skipped:
        told = f"readers of {shown(key)} skip record {one.record} from now on: {one.problem}; its bytes: {one.saved}"
        click.echo(clean(told), err=True)
    return _checked(place, key)


async def _skip(stores: Stores, key: str, clock: Clock, patience: float) -> list[Skipped]:
    return await skip_damaged(session_by_hand(stores, key, clock, "verify"), stores, patience)


def _facts(report: Report) -> dict[str, Any]:
    item = report.item
    return {
        "session": shown(report.session_key),
        "ok": report.ok,
        "state": report.state,
        "epoch": item.epoch if item else None,
        "head": item.head if item else None,
        "objects": report.objects,
        "bytes": report.size,
        "records": report.records,
        "findings": [
            {"severity": one.severity, "code": one.code, "key": one.key, "problem": one.problem}
            for one in report.findings
        ],
    }


def _print(reports: list[Report]) -> None:
    rows = []
    for report in reports:
        counts = Counter(one.severity for one in report.findings)
        verdict = "damaged" if counts["damage"] else "sound" if report.ok else "look"
        rows.append(
            (
                *(shown(report.session_key), verdict, report.state, report.objects, report.records),
                *(counts["damage"], counts["warning"], counts["note"]),
            )
        )
    columns = ("SESSION", "VERDICT", "STATE", "OBJECTS", "RECORDS", "DAMAGE", "WARNINGS", "NOTES")
    print_table(columns, rows, "no sessions")
    for report in reports:
        for one in report.findings:
            where = shown(one.key) if one.key == report.session_key else one.key
            click.echo(clean(f"{one.severity}: {where}: {one.problem} [{one.code}]"))
