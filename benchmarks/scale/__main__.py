"""``python -m benchmarks.scale``."""

from __future__ import annotations

from benchmarks.scale.run import main

if __name__ == "__main__":
    main()
