"""Help for tests: make a bucket and a lock table on any endpoint, and move time by hand."""

from segue.testing.clock import ManualClock
from segue.testing.provision import provision

__all__ = ["ManualClock", "provision"]
