"""Short programs on S3 and DynamoDB that close nothing: none of them waits for the one before."""

from __future__ import annotations

import pytest

from tests.support.programs import Programs
from tests.support.stage import AWS_ENVIRONMENT, Stage

pytestmark = pytest.mark.emulator

TALK = """
manager = GuardedS3SessionManager(
    "talk", bucket=sys.argv[1], lock_table=sys.argv[2], endpoint_url=sys.argv[3], acquire_timeout=0.0
)
agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
agent(sys.argv[4])
print(len(agent.messages))
"""


def test_three_short_programs_one_after_the_other_do_not_wait_for_each_other(
    program: Programs, emulated: Stage
) -> None:
    place = (emulated.bucket, emulated.lock_table, emulated.endpoint_url)

    ended = [program(TALK, *place, f"Hello {number}", **AWS_ENVIRONMENT) for number in range(3)]

    assert [(one.stdout.splitlines()[-1], one.stderr) for one in ended] == [("2", ""), ("4", ""), ("6", "")]
