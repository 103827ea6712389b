"""``make demo``: the whole story without a person, as an acceptance test.

story      what is said and done, and what has to be true at every step
caller     says it: a microphone that is always on, and a keyboard
listener   what the client receives
frames     what became of every frame
account    what lies in DynamoDB and S3 at the end
timeline   what happened when, for people
"""

from __future__ import annotations

from local.demo.story import run

__all__ = ["run"]
