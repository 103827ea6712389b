"""Ids as people have them, and what they are called in storage.

    user_123           user_123               letters and digits of ASCII, ``.``, ``_`` and ``-`` stand for themselves
    user@example.com   user=40example.com     each byte of another character's UTF-8: ``=`` and two digits, 0-9 A-F
    a=40b              a=3D40b                so does ``=`` itself

No two ids have one name, and each name is read back as its id. ``=`` is in no name that an earlier release made, so an
id that was valid then keeps its name and meets none of the others. Names are ASCII: no file system's normalisation of
Unicode makes two of them one. See docs/rfcs/0017.

This module imports nothing of Segue.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from typing import Final
from urllib.parse import unquote_to_bytes

MAX_NAME: Final = 250
"""Characters of a session's name in storage at most; a longer one is refused with ``ValueError``. With ``.json`` or
``.lock`` behind it, it is a file name, which has 255 bytes; ``segue.journal.keys`` has what is left of an object
key."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_ENCODED: Final = re.compile(r"[^A-Za-z0-9._-]")
_REFUSED: Final = re.compile(r"[/\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""The separator of keys, control characters, line separators, what turns the direction of writing (an id is shown as
it was given, and must not drive a terminal), and halves of surrogate pairs, which have no UTF-8."""


def valid_id(text: object, what: str) -> str:
    """Return ``text`` if it is safe in a key as it is: a principal, a client's id, a session on the wire.

    Args:
        text: The id.
        what: What it is, for the error ("principal").

    Raises:
        ValueError: It is empty, too long, a relative path, or has characters other than ``A-Za-z0-9._-``.
    """
    if not isinstance(text, str) or not _PLAIN.fullmatch(text) or text in {".", ".."}:
        raise ValueError(f"{what} {text!r} is not valid: 1 to 128 of A-Z a-z 0-9 . _ - and not '.' or '..'")
    return text


def session_name(session_id: object) -> str:
    """Return what a session is called in storage, below its principal.

    Args:
        session_id: The id as it is given.

    Raises:
        ValueError: It is empty, ``.`` or ``..``, has a ``/`` or a control character, or its name has more than
            ``MAX_NAME`` characters.
    """
    if not isinstance(session_id, str) or _REFUSED.search(session_id) or session_id in {"", ".", ".."}:
        raise ValueError(
            f"session id {session_id!r} is not valid: it needs a character, and must not be '.' or '..' or have "
            "'/', control characters or half a surrogate pair"
        )
    name = _ENCODED.sub(lambda found: "".join(f"={byte:02X}" for byte in found[0].encode()), session_id)
    if len(name) > MAX_NAME:
        raise ValueError(
            f"session id {session_id[:40]!r}… is not valid: it takes {len(name)} of {MAX_NAME} characters (each but "
            "A-Z a-z 0-9 . _ - takes three for every byte of its UTF-8); take a shorter one, or a hash of it"
        )
    return name


def session_id_of(name: str) -> str:
    """Return the id whose name in storage this is.

    Raises:
        ValueError: It is the name of none.
    """
    given = unquote_to_bytes(name.replace("%", "=25").replace("=", "%")).decode()
    if session_name(given) != name:
        raise ValueError(f"{name!r} is not the name of a session")
    return given


def session_key(principal: str, session_id: str) -> str:
    """Return the key of a principal's session, ``<principal>/<name>``.

    Args:
        principal: Whose it is: 1 to 128 of ``A-Za-z0-9._-``.
        session_id: The id as it is given.

    Raises:
        ValueError: Either part is not a valid id.
    """
    return f"{valid_id(principal, 'principal')}/{session_name(session_id)}"


def checked_key(key: str) -> str:
    """Return a key if it is one that ``session_key`` makes.

    Raises:
        ValueError: It is not.
    """
    principal, _, name = key.partition("/")
    valid_id(principal, "principal")
    try:
        session_id_of(name)
    except ValueError as error:
        raise ValueError(
            f"session key {key!r} is not valid ({error}): make it by segue.ids.session_key(principal, session_id)"
        ) from error
    return key


def shown(key: str) -> str:
    """Return a session's key for people, with the id as it was given. A key that is none stays as it is."""
    principal, slash, name = key.partition("/")
    try:
        return f"{principal}{slash}{session_id_of(name)}"
    except ValueError:
        return key


def new_id(bits: int = 128) -> str:
    """Return a random id, safe in keys."""
    return secrets.token_urlsafe(bits // 8)


def new_born(wall: float | None = None) -> str:
    """Name a new incarnation of a session: time (so that people can sort them) plus 128 random bits."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall))
    return f"{stamp}-{secrets.token_hex(16)}"


def principal_of(issuer: str, subject: str) -> str:
    """The principal that stands for a subject of an issuer.

    A hash, so that any subject fits into keys and none is told by a log: the first 128 bits of SHA-256 over ``oidc``,
    the issuer and the subject, one a line, as 32 hexadecimal digits. The issuer is this deployment's own and has no
    line end, so that no two pairs give the same text.

    Args:
        issuer: As a token's ``iss`` names it.
        subject: As its ``sub`` does.
    """
    return hashlib.sha256(f"oidc\n{issuer}\n{subject}".encode()).hexdigest()[:32]
