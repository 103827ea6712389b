"""`make demo`: the whole story without a person, as an acceptance test.

story      what is said and done, and what has to be true at every step
listener   what the client receives, with times
account    what lies in DynamoDB and S3 at the end, and whether every message is there once
timeline   what happened when, for people
"""

from local.demo.story import run

__all__ = ["run"]
