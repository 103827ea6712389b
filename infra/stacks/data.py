"""The data stack: what must outlive every deployment."""

from __future__ import annotations

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct

from infra.config import Config
from infra.constructs.auth import Auth
from infra.constructs.storage import Storage


class DataStack(Stack):
    """Bucket, tables and users.

    Attributes:
        storage: For the service stack.
        auth: For the service stack.
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config, *, env: Environment) -> None:
        super().__init__(
            scope,
            construct_id,
            description="Segue: sessions, their guards and connections",
            termination_protection=config.target.keeps_data,
            env=env,
        )
        self.storage = Storage(self, "Storage", config)
        self.auth = Auth(self, "Auth", config)
        CfnOutput(self, "BucketName", value=self.storage.bucket.bucket_name)
        CfnOutput(self, "LockTableName", value=self.storage.lock_table.table_name)
        CfnOutput(self, "ConnectionsTableName", value=self.storage.connections_table.table_name)
