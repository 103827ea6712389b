"""``python -m benchmarks.wire``."""

from __future__ import annotations

from benchmarks.wire.run import main

if __name__ == "__main__":
    main()
