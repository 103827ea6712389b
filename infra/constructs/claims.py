"""The claims queue: sessions that need a worker."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.queues import dead_letters, queue


class Claims(Construct):
    """The queue and where claims go that no worker could serve.

    Attributes:
        queue: One message a claim.
        dead_letters: Claims received five times without success.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = dead_letters(self, "DeadLetters")
        self.queue = queue(
            self,
            "Queue",
            self.dead_letters,
            visibility=Duration.seconds(30),
            # A client that still waits says hello again and makes a new claim, so an old one has no use.
            retention=Duration.hours(1),
        )
