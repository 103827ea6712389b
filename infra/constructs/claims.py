"""The claims queue: sessions that need a worker."""

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

RECEIVES_BEFORE_DEAD_LETTER = 5


class Claims(Construct):
    """The queue and where claims go that no worker could serve.

    Attributes:
        queue: One message a claim.
        dead_letters: Claims received five times without success.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=Duration.seconds(30),
            # A client that still waits says hello again and makes a new claim, so an old one helps no one.
            retention_period=Duration.hours(1),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=RECEIVES_BEFORE_DEAD_LETTER
            ),
        )
