"""The command line, ``segue``. Needs the extra ``cli`` (docs/install.md); no Lambda layer has it."""

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
