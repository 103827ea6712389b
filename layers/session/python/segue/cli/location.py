"""Where the sessions are: the options that every command has."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from segue.clock import Clock
from segue.ids import session_key
from segue.journal.keys import check_length
from segue.session.runtime import Runtime
from segue.storage.stores import Stores
from segue.strands.file import file_stores
from segue.strands.s3 import open_stores

if TYPE_CHECKING:
    import boto3

_T = TypeVar("_T")

Work = Callable[[Stores, Clock], Coroutine[Any, Any, _T]]
"""Something to do with sessions; runs on the storage loop."""

DEFAULT_PRINCIPAL = "default"

NOTICE_S = 0.5
"""Seconds after which Ctrl-C is noticed at the latest. A signal that comes just before the main thread begins to wait
for a lock does not wake it, and what ``tail`` waits for may never come."""

_NOWHERE = (
    "say where the sessions are: --bucket and --lock-table, or --directory (or SEGUE_BUCKET, SEGUE_LOCK_TABLE, …)"
)


@dataclass(frozen=True)
class Place:
    """Where the sessions of a command are, as its options say."""

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
        named, slash, session_id = session.rpartition("/")
        whose = named if slash else principal or self.principal or DEFAULT_PRINCIPAL
        try:
            key = session_key(whose, session_id)
            if self.directory is None:
                check_length(self._prefix, key)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        return key

    def run(self, work: Work[_T], *, new: bool = False) -> _T:
        """Do something with the sessions, and wait for it.

        Args:
            work: What to do.
            new: Whether a directory that is not there may be made.
        """
        runtime = Runtime.shared()
        done = runtime.submit(work(self._stores(runtime, new=new), runtime.clock))
        while wait((done,), NOTICE_S).not_done:
            pass  # the interpreter has had its turn, and Ctrl-C with it
        return done.result()

    @property
    def _prefix(self) -> str:
        return f"{self.prefix.strip('/')}/" if self.prefix.strip("/") else ""

    def boto_session(self) -> boto3.Session:
        """The credentials and region that the options name."""
        import boto3  # half a second that only S3 pays

        return boto3.Session(profile_name=self.profile, region_name=self.region)

    def _stores(self, runtime: Runtime, *, new: bool) -> Stores:
        if self.directory is not None:
            if not new and not self.directory.is_dir():
                raise click.UsageError(f"there is no directory {str(self.directory)!r}")
            return file_stores(runtime, self.directory)
        if self.bucket is None or self.lock_table is None:
            raise click.UsageError(_NOWHERE)
        return runtime.run_sync(
            open_stores(
                runtime,
                bucket=self.bucket,
                lock_table=self.lock_table,
                prefix=self._prefix,
                boto_session=self.boto_session() if self.profile else None,
                region_name=self.region,
                endpoint_url=self.endpoint_url,
            )
        )


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--bucket", envvar="SEGUE_BUCKET", show_envvar=True, help="S3 bucket of the records."),
    click.option("--lock-table", envvar="SEGUE_LOCK_TABLE", show_envvar=True, help="DynamoDB table of the guard."),
    click.option("--prefix", envvar="SEGUE_PREFIX", show_envvar=True, default="", help="Prefix of all S3 keys."),
    click.option("--region", envvar="SEGUE_REGION", show_envvar=True, help="AWS region."),
    click.option("--endpoint-url", envvar="SEGUE_ENDPOINT_URL", show_envvar=True, help="Endpoint of an emulator."),
    click.option("--profile", envvar="SEGUE_PROFILE", show_envvar=True, help="AWS profile."),
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
        help=f"Whose sessions.  [default: {DEFAULT_PRINCIPAL}; for whole lists: everybody's]",
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
