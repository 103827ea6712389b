"""Strands' session managers for the two layouts that it has, on a directory or on S3."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError
from strands.session import FileSessionManager, S3SessionManager, SnapshotSessionManager
from strands.session.session_manager import SessionManager
from strands.storage import LocalFileStorage, S3Storage
from strands.types.exceptions import SessionException, SnapshotException, StorageError

from segue.cli.location import Place
from segue.errors import SegueError, SessionNotFound, StorageRefused
from segue.storage.durable_files import make_private
from segue.strands.layouts.sources import reading, session_file

LAYOUTS = ("messages", "snapshot")
"""An object a message (``FileSessionManager``, ``S3SessionManager``), or one a session (``SnapshotSessionManager``)."""

_S3 = "s3://"


@contextlib.contextmanager
def naming(target: str) -> Iterator[None]:
    """Say where it went wrong: Strands' own errors do not always.

    Raises:
        StorageRefused: In place of what Strands or AWS raise.
    """
    try:
        yield
    except SegueError:
        raise
    except (SessionException, SnapshotException, StorageError, ClientError, BotoCoreError, OSError) as error:
        cause = f": {error.__cause__}" if error.__cause__ and str(error.__cause__) not in str(error) else ""
        raise StorageRefused(target, f"{error}{cause}") from error


def new(place: Place, layout: str, target: str, session_id: str) -> SessionManager[Any]:
    """Make the manager of a session that may not be there yet.

    Args:
        place: Whose region, profile and endpoint serve S3.
        layout: One of ``LAYOUTS``.
        target: A directory, or ``s3://bucket/prefix``.
        session_id: Strands' id of the session.

    Raises:
        click.UsageError: The id or the target is not valid.
    """
    _check(session_id)
    if not target.startswith(_S3):
        if layout == "messages":
            with reading(session_file(session_id)):
                return FileSessionManager(session_id, storage_dir=target)
        make_private(Path(target))  # as Strands' other manager does
        return SnapshotSessionManager(session_id, storage=LocalFileStorage(target))
    bucket, prefix = _bucket_of(target)
    if layout == "messages":
        with reading(session_file(session_id)):
            return S3SessionManager(
                session_id,
                bucket=bucket,
                prefix=prefix,
                boto_session=place.boto_session(),
                endpoint_url=place.endpoint_url,
            )
    return SnapshotSessionManager(session_id, storage=S3Storage(bucket, prefix=prefix, boto_session=_there(place)))


def existing(place: Place, layout: str, source: str, session_id: str) -> SessionManager[Any]:
    """Make the manager of a session that is there; Strands' own would begin one that is not.

    Raises:
        SessionNotFound: It is not there.
        click.UsageError: The id or the source is not valid.
    """
    _check(session_id)
    if layout == "messages" and not _has_messages(place, source, session_file(session_id)):
        raise SessionNotFound(f"{source} {session_id}", f"{session_id} in {source}")
    if layout == "snapshot" and not source.startswith(_S3) and not Path(source).is_dir():
        raise SessionNotFound(f"{source} {session_id}", f"{session_id} in {source}")
    return new(place, layout, source, session_id)


def _check(session_id: str) -> None:
    """Check an id for Strands: it may have more characters than Segue's, but it is part of a path."""
    if not session_id.strip() or session_id in {".", ".."} or {"/", "\\"} & set(session_id):
        raise click.UsageError(f"{session_id!r} cannot be a session id of Strands: it is a path")


def _has_messages(place: Place, source: str, name: str) -> bool:
    if not source.startswith(_S3):
        return (Path(source) / name).exists()
    bucket, prefix = _bucket_of(source)
    client = place.boto_session().client("s3", endpoint_url=place.endpoint_url)
    try:
        client.head_object(Bucket=bucket, Key=f"{prefix}/{name}" if prefix else name)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "404":
            return False
        raise
    return True


def _bucket_of(target: str) -> tuple[str, str]:
    bucket, _, prefix = target.removeprefix(_S3).partition("/")
    if not bucket:
        raise click.UsageError(f"{target!r} names no bucket: give s3://bucket/prefix")
    return bucket, prefix.strip("/")


def _there(place: Place) -> Any:
    """A boto session that knows the endpoint: Strands' S3 storage takes none."""
    session = place.boto_session()
    if place.endpoint_url is None:
        return session

    class AtEndpoint:
        """Maker of clients for that endpoint."""

        @staticmethod
        def client(service: str, **options: Any) -> Any:
            """Make a client."""
            named: Any = session.client  # boto3's types know each service by itself
            return named(service, endpoint_url=place.endpoint_url, **options)

    return AtEndpoint()
