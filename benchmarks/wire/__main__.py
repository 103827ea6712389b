"""``python -m benchmarks.wire``."""

from benchmarks.wire.run import main

if __name__ == "__main__":
    main()
