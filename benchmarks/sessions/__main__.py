"""``python -m benchmarks.sessions``."""

from benchmarks.sessions.run import main

if __name__ == "__main__":
    main()
