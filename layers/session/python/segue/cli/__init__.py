"""The command line, ``segue``. Needs the extra ``cli`` (docs/install.md); no Lambda layer has it.

    principal           ``principals name``, also as ``principal``
    location            the options for where the sessions are
    output              tables and text, JSON, progress
    follow              new records of a session, read without its lease
    selection           options of ``list`` and ``watch``: which sessions, in which order, how many
    layouts             Strands' own session managers, for ``import`` and ``export``
    delete_release      ``delete``, ``release``
    principals          ``principals``: names, and deletion of all that one has
    transcript          a conversation as text
    watch               ``watch``
    verify              ``verify``
    show_tail           ``show``, ``tail``
    fork_export_import  ``fork``, ``export``, ``import``
    list_points         ``list``, ``points``
    app                 all commands, and exit codes of their failures

Each module imports only modules that stand above it here.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from segue.cli.app import segue  # click and rich are extras: without them this says what to install
    except ModuleNotFoundError as missing:
        if missing.name not in {"click", "rich"}:
            raise
        sys.stderr.write("error: the command line needs click and rich: pip install click rich\n")
        sys.exit(2)
    segue(prog_name="segue")
