"""``python -m segue.cli``."""

from __future__ import annotations

from segue.cli import main

main()
