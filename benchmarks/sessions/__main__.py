"""``python -m benchmarks.sessions``."""

from __future__ import annotations

from benchmarks.sessions.run import main

if __name__ == "__main__":
    main()
