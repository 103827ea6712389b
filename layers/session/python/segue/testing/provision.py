"""Create what a session manager needs, on AWS, an emulator or moto."""

from __future__ import annotations

import contextlib

import boto3


def provision(bucket: str, lock_table: str, endpoint_url: str | None = None, region_name: str | None = None) -> None:
    """Create the bucket and the lock table, if they are not there.

    Production wants more than this (encryption, backups, a stream for the janitor): deploy the stack for that.

    Args:
        bucket: Name of the bucket.
        lock_table: Name of the table.
        endpoint_url: Where, for emulators.
        region_name: AWS region; default: as boto3 finds it.
    """
    s3 = boto3.client("s3", endpoint_url=endpoint_url, region_name=region_name)
    dynamodb = boto3.client("dynamodb", endpoint_url=endpoint_url, region_name=region_name)
    region = s3.meta.region_name
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
        if region == "us-east-1":
            s3.create_bucket(Bucket=bucket)
        else:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})  # type: ignore[typeddict-item]  # any region
    with contextlib.suppress(dynamodb.exceptions.ResourceInUseException):
        dynamodb.create_table(
            TableName=lock_table,
            KeySchema=[{"AttributeName": "session_key", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "session_key", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    dynamodb.get_waiter("table_exists").wait(TableName=lock_table, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    with contextlib.suppress(dynamodb.exceptions.ClientError):  # enabled already
        dynamodb.update_time_to_live(
            TableName=lock_table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
        )
