"""The options of every command for the place of its sessions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from segue.admin.sessions import Sessions
from segue.admin.source import DEFAULT_PRINCIPAL
from segue.clock import Clock
from segue.storage.answers import check_answers
from segue.storage.stores import Stores

if TYPE_CHECKING:
    import boto3

_T = TypeVar("_T")

Work = Callable[[Stores, Clock], Coroutine[Any, Any, _T]]
"""Something to do with sessions; runs on the storage loop."""

_NOWHERE = (
    "say where the sessions are: --bucket and --lock-table, or --directory (or SEGUE_BUCKET, SEGUE_LOCK_TABLE, …)"
)


@dataclass(frozen=True)
class Place:
    """The place of a command's sessions, from its options."""

    directory: Path | None
    bucket: str | None
    lock_table: str | None
    prefix: str
    region: str | None
    endpoint_url: str | None
    profile: str | None
    principal: str | None

    def key(self, session: str, principal: str | None = None) -> str:
        """Return the key of a session that was named by its id, or by its whole key.

        Raises:
            click.UsageError: It is not a valid name.
        """
        try:
            return self.sessions().key(session, principal)
        except ValueError as error:
            raise click.UsageError(str(error)) from error

    def run(self, work: Work[_T]) -> _T:
        """Do something that no method of ``Sessions`` does, and wait for it. A directory must be there already."""
        return self.existing().run(work)

    def existing(self) -> Sessions:
        """The sessions that the options name; a directory must be there already.

        Raises:
            click.UsageError: They name none, or a directory that is not there.
        """
        if self.directory is not None and not self.directory.is_dir():
            raise click.UsageError(f"there is no directory {str(self.directory)!r}")
        return self.sessions()

    def sessions(self) -> Sessions:
        """The sessions that the options name; a directory is made for the first of them.

        Raises:
            click.UsageError: They name none.
        """
        if self.directory is not None:
            return Sessions.directory(self.directory, principal=self.principal)
        if self.bucket is None or self.lock_table is None:
            raise click.UsageError(_NOWHERE)
        return Sessions.s3(
            self.bucket,
            self.lock_table,
            prefix=self.prefix,
            principal=self.principal,
            boto_session=self.boto_session() if self.profile else None,
            region_name=self.region,
            endpoint_url=self.endpoint_url,
        )

    def boto_session(self) -> boto3.Session:
        """The credentials and region that the options name.

        Its clients, Strands' own among them, raise for truncated answers and proxies' pages, as Segue's clients do.
        """
        import boto3  # half a second that only S3 pays

        session = boto3.Session(profile_name=self.profile, region_name=self.region)
        check_answers(session.events)
        return session


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--bucket", envvar="SEGUE_BUCKET", show_envvar=True, help="S3 bucket of the records."),
    click.option("--lock-table", envvar="SEGUE_LOCK_TABLE", show_envvar=True, help="DynamoDB table of the guard."),
    click.option("--prefix", envvar="SEGUE_PREFIX", show_envvar=True, default="", help="Prefix of all S3 keys."),
    click.option("--region", envvar="SEGUE_REGION", show_envvar=True, help="AWS region.  [default: as boto3 finds it]"),
    click.option(
        "--endpoint-url", envvar="SEGUE_ENDPOINT_URL", show_envvar=True, help="URL of an AWS emulator.  [default: AWS]"
    ),
    click.option(
        "--profile", envvar="SEGUE_PROFILE", show_envvar=True, help="AWS profile.  [default: as boto3 finds it]"
    ),
    click.option(
        "--directory",
        envvar="SEGUE_DIRECTORY",
        show_envvar=True,
        type=click.Path(file_okay=False, path_type=Path),
        help="Directory of the sessions, instead of a bucket and a table.",
    ),
    click.option(
        "--principal",
        envvar="SEGUE_PRINCIPAL",
        show_envvar=True,
        help=f"Principal whose sessions are meant.  [default: {DEFAULT_PRINCIPAL}; all for lists]",
    ),
)


def located(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where the sessions are, as one argument ``place``."""

    @functools.wraps(command)
    def collected(*args: Any, **options: Any) -> Any:
        names = Place.__dataclass_fields__
        place = Place(**_one_of_both({name: options.pop(name) for name in names}))
        return command(*args, place=place, **options)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


def _one_of_both(options: dict[str, Any]) -> dict[str, Any]:
    """Let what was typed win over the environment, if the one names a directory and the other a bucket."""
    if options["directory"] is None or options["bucket"] is None:
        return options
    context = click.get_current_context()
    typed = {
        name for name in ("directory", "bucket") if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    if len(typed) != 1:
        raise click.UsageError("--directory and --bucket (or SEGUE_DIRECTORY and SEGUE_BUCKET) exclude each other")
    return {**options, "directory" if typed == {"bucket"} else "bucket": None}


json_option = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON.")
