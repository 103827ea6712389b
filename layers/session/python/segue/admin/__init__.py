"""Sessions looked after from outside of a conversation: listed, read, copied, checked, moved, deleted.

    progress          progress told to the caller
    checks            what a session's objects and records must be
    orphans           objects that no session has
    verify            all checks of a session
    skip_damaged      a record that makes readers pass over a damaged one
    fork              a new session that begins with another's records, up to a point in time
    silent_holders    holders that have gone silent
    key_pages         session keys, page by page
    listing           sessions from their guard items
    delete_release    sessions deleted, and the leases of dead holders freed
    principals        everything of one principal, deleted
    read_only         a session manager that restores agents and writes nothing
    exchange          agents, Graphs and Swarms to and from Strands' own managers
    source            the stores that sessions are looked after in, and their keys
    sessions          ``Sessions``: all of it, for programs and the command line

A module imports only those above it, and what is below this room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segue.lazy import lazily

if TYPE_CHECKING:
    from segue.admin.sessions import Sessions

__all__ = ["Sessions"]

__getattr__ = lazily(__name__, {"Sessions": "segue.admin.sessions"})
"""Import ``Sessions`` when it is first asked for: the janitor uses this room without Strands."""
