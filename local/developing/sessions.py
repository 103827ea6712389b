"""``segue sessions`` on the running stack: bucket, table, principal, endpoint and credentials are set, ids are checked.

Principals are hashes. Here the one of the chosen subject is shown, and may be typed, by the subject's name.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import sys
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any, TextIO, cast

import click

from local.deployment.issuer import principal
from local.errors import LocalError
from local.processes.children import AWS_ENVIRONMENT
from local.settings import REGION

NEW_NAMES = frozenset({"import"})
"""Commands whose session need not be there."""


def variables(facts: dict[str, Any], subject: str) -> dict[str, str]:
    """Return the variables from which ``segue sessions`` reads where the sessions are.

    Args:
        facts: What ``status`` says of the stack.
        subject: Of this machine's issuer: whose sessions.
    """
    return {
        **AWS_ENVIRONMENT,
        "SEGUE_BUCKET": facts["bucket"],
        "SEGUE_LOCK_TABLE": facts["lock_table"],
        "SEGUE_ENDPOINT_URL": facts["endpoint_url"],
        "SEGUE_REGION": REGION,
        "SEGUE_PREFIX": "",
        "SEGUE_PRINCIPAL": principal(subject),
    }


def run(arguments: Sequence[str], facts: dict[str, Any], subject: str, environment: MutableMapping[str, str]) -> int:
    """Run the command in this process.

    Args:
        arguments: Of ``segue sessions``.
        facts: What ``status`` says of the stack.
        subject: Whose sessions.
        environment: The process's own; it gets what the command reads.

    Returns:
        The command's exit code.

    Raises:
        LocalError: There is no such command, or no such session; the message suggests what is near.
    """
    environment.pop("SEGUE_DIRECTORY", None)
    environment.update(variables(facts, subject))
    from segue.cli.app import segue, sessions  # boto3 and rich, which `--help` need not wait for

    check_command(arguments, sessions.commands)
    session = session_of(arguments, sessions)
    if session is not None:
        typed, session = session, keyed(session)
        arguments = [session if argument == typed else argument for argument in arguments]
        if "/" not in session:
            check_session(session, [each.session.rpartition("/")[2] for each in _all_sessions(environment)])
    out = sys.stdout if "--json" in arguments else cast("TextIO", ReadableOutput(sys.stdout, subject))
    with contextlib.redirect_stdout(out):
        try:
            segue(["sessions", *arguments], prog_name=".venv/bin/python -m local")
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 1
    return 0


class ReadableOutput:
    """Standard output on which a subject's name stands in the place of its principal; nothing is held back."""

    def __init__(self, out: TextIO, subject: str) -> None:
        self._out = out
        self._subject = subject

    def write(self, text: str) -> int:
        """Write a text, made readable."""
        self._out.write(readable(text, self._subject))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)


def readable(text: str, subject: str) -> str:
    """Return a text with the subject's name in the place of its principal; a table's columns stay where they were."""
    prefix = f"{principal(subject)}/"
    short = f"{subject}/"
    gap = " " * max(0, len(prefix) - len(short))
    table = re.sub(rf"^{prefix}(\S+)(?=  )", lambda row: f"{short}{row[1]}{gap}", text, flags=re.MULTILINE)
    return table.replace(prefix, short)


def keyed(session: str) -> str:
    """Return a session as ``segue sessions`` takes it: a subject before the slash becomes its principal."""
    named, slash, name = session.rpartition("/")
    return f"{principal(named)}/{name}" if slash and not re.fullmatch(r"[0-9a-f]{32}", named) else session


def check_command(arguments: Sequence[str], commands: Iterable[str]) -> None:
    """Refuse a command that is not there, with the names that are near.

    Raises:
        LocalError: It is not there.
    """
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        raise LocalError(f"there is no command {arguments[0]!r}{near(arguments[0], commands)}")


def check_session(session: str, sessions: Sequence[str]) -> None:
    """Refuse a session that is not there, with the names that are near.

    Raises:
        LocalError: It is not there.
    """
    if session not in sessions:
        raise LocalError(f"there is no session {session!r}{near(session, sessions)}")


def session_of(arguments: Sequence[str], group: click.Group) -> str | None:
    """Read the session that has to be there, as the command does; None if it takes none, or the line is wrong."""
    command = group.commands.get(arguments[0]) if arguments else None
    if command is None or arguments[0] in NEW_NAMES or {"-h", "--help"} & set(arguments):
        return None
    try:
        context = command.make_context(command.name, list(arguments[1:]), resilient_parsing=True)
    except click.ClickException:
        return None
    named = context.params.get("session")
    return named if isinstance(named, str) else None


def near(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence that suggests what is near a name."""
    found = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(found)}?" if found else "."


def _all_sessions(environment: MutableMapping[str, str]) -> Sequence[Any]:
    """All sessions that the variables name, without waiting for any holder."""
    from segue.admin.sessions import Sessions

    return Sessions.s3(
        environment["SEGUE_BUCKET"],
        environment["SEGUE_LOCK_TABLE"],
        principal=environment["SEGUE_PRINCIPAL"],
        region_name=REGION,
        endpoint_url=environment["SEGUE_ENDPOINT_URL"],
    ).list()
