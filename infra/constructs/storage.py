"""Storage of sessions: the bucket with their journals, the table that guards them, and the table of connections."""

from __future__ import annotations

from typing import Final

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.config import Config

KEY_ACTIONS: Final = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"]


class Storage(Construct):
    """Key, bucket and tables.

    Attributes:
        key: What all of it is encrypted with.
        bucket: Journals, under ``sessions/``.
        lock_table: One item a session: who may write it, and how much of the journal is committed.
        connections_table: WebSocket connections and the registry of workers.
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config) -> None:
        super().__init__(scope, construct_id)
        keeps_data = config.target.keeps_data
        removal = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if keeps_data else RemovalPolicy.DESTROY
        self.key = kms.Key(
            self,
            "Key",
            description=f"Segue {config.stage}: sessions, their guards and connections",
            enable_key_rotation=True,
            removal_policy=removal,
        )
        # No rule ends objects by age and nothing keeps old versions: only the guard item knows which sessions live,
        # and a redaction has to leave nothing behind.
        self.bucket = s3.Bucket(
            self,
            "Sessions",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            # One data key for many objects: otherwise each commit would be a request to KMS.
            bucket_key_enabled=True,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=False,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="abort-incomplete-uploads", abort_incomplete_multipart_upload_after=Duration.days(7)
                )
            ],
            removal_policy=removal,
        )
        # The stream tells the janitor which incarnations end; the old image tells which one it was.
        self.lock_table = self._table(
            "Locks",
            removal,
            protected=keeps_data,
            partition_key="session_key",
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
        )
        self.connections_table = self._table(
            "Connections", removal, protected=keeps_data, partition_key="pk", sort_key="sk"
        )

    def allow_key(self, grantee: iam.IGrantable) -> None:
        """Let a role use the key, through the bucket and the tables and in no other way.

        S3 and DynamoDB use the key in the name of who calls them, so that a role needs this beside what it may do
        with the bucket and the tables.
        """
        services = [f"{name}.{Aws.REGION}.amazonaws.com" for name in ("dynamodb", "s3")]
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(
                actions=KEY_ACTIONS,
                resources=[self.key.key_arn],
                conditions={"StringEquals": {"kms:ViaService": services}},
            )
        )

    def _table(
        self,
        construct_id: str,
        removal: RemovalPolicy,
        *,
        protected: bool,
        partition_key: str,
        sort_key: str | None = None,
        stream: dynamodb.StreamViewType | None = None,
    ) -> dynamodb.Table:
        """An on-demand table whose items end at ``expires_at``."""
        return dynamodb.Table(
            self,
            construct_id,
            partition_key=_text(partition_key),
            sort_key=_text(sort_key) if sort_key else None,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute="expires_at",
            stream=stream,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self.key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=protected
            ),
            deletion_protection=protected,
            removal_policy=removal,
        )


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
