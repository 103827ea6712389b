"""``make demo``: the whole story without a person, as an acceptance test.

    listener        what the client receives
    stored_content  what lies in DynamoDB and S3 at the end
    timeline        what happened when, for people
    caller          a microphone that is always on, and a keyboard
    frames          what became of every frame
    story           what is said and done, and what has to be true at every step

Each module imports only modules that stand above it here.
"""

from __future__ import annotations

from local.demo.story import run

__all__ = ["run"]
