"""All that the stack's roles may do: by role, by resource. What they may do with the key has a test of its own.

Names are logical ids without the digits that CDK adds; ``<StorageLocks>`` is the resource, or its ARN.
"""

from __future__ import annotations

from typing import Final

type Grants = dict[str, dict[str, set[str]]]


def _all(service: str, *actions: str) -> set[str]:
    return {f"{service}:{action}" for action in actions}


_LOG: Final = _all("logs", "CreateLogStream", "PutLogEvents")
_TABLE: Final = _all("dynamodb", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem")
_SEND: Final = _all("sqs", "SendMessage")
_SEND_AS_CDK: Final = _all("sqs", "GetQueueAttributes", "GetQueueUrl", "SendMessage")
_CONSUME: Final = _all(
    "sqs", "ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl", "ReceiveMessage"
)
_OBJECTS: Final = _all("s3", "DeleteObject", "GetObject", "PutObject")
_CONNECTIONS: Final = (
    "arn:<AWS::Partition>:execute-api:<AWS::Region>:<AWS::AccountId>:<GatewayApi>/{stage}/{method}/@connections/*"
)
_MODEL: Final = "arn:<AWS::Partition>:bedrock:<AWS::Region>::foundation-model/{model}"
_IMAGES: Final = (
    "arn:<AWS::Partition>:ecr:<AWS::Region>:<AWS::AccountId>:repository/"
    "cdk-hnb659fds-container-assets-${AWS::AccountId}-${AWS::Region}"
)
_ASSETS: Final = "arn:<AWS::Partition>:s3:::cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
_SWEEPER: Final = {
    "<StorageLocks>": {"dynamodb:GetItem"},
    "<StorageSessions>/sessions/*": {"s3:DeleteObject"},
    "<StorageSessions>": {"s3:ListBucket"},
}


def everywhere(stage: str) -> Grants:
    """Grants of every target."""
    return {
        "GatewayAuthorizerRole": {"<GatewayAuthorizerLogs>": _LOG},
        "GatewayConnectRole": {"<GatewayConnectLogs>": _LOG, "<StorageConnections>": {"dynamodb:PutItem"}},
        "GatewayDisconnectRole": {
            "<GatewayDisconnectLogs>": _LOG,
            "<StorageConnections>": _all("dynamodb", "DeleteItem", "GetItem", "UpdateItem"),
        },
        "GatewayMessageRole": {
            "<GatewayMessageLogs>": _LOG,
            "<StorageConnections>": _all("dynamodb", "GetItem", "PutItem", "Query", "UpdateItem"),
            "<StorageLocks>": {"dynamodb:GetItem"},
            "<ClaimsQueue>": _SEND,
            "<TurnsQueue>": _SEND,
            _CONNECTIONS.format(stage=stage, method="POST"): {"execute-api:ManageConnections"},
        },
        "StoppedStoppedRole": {
            "<StoppedStoppedLogs>": _LOG,
            "<StorageConnections>": _all("dynamodb", "DeleteItem", "Query"),
            "<ClaimsQueue>": _SEND,
            "<StoppedFailures>": _SEND_AS_CDK,
        },
        "WorkersTaskTaskRole": {
            "<StorageConnections>": _TABLE,
            "<StorageLocks>": _TABLE,
            "<StorageSessions>/sessions/*": _OBJECTS,
            "<StorageSessions>": {"s3:ListBucket"},
            "<ClaimsQueue>": _all("sqs", "ChangeMessageVisibility", "DeleteMessage", "ReceiveMessage", "SendMessage"),
            _CONNECTIONS.format(stage=stage, method="*"): {"execute-api:ManageConnections"},
        },
        "WorkersTaskExecutionRole": {"<WorkersLogs>": _LOG},
        "TurnsHandlerRole": {
            "<TurnsHandlerLogs>": _LOG,
            "<StorageConnections>": {"dynamodb:Query"},
            "<StorageLocks>": _all("dynamodb", "GetItem", "UpdateItem"),
            "<StorageSessions>/sessions/*": _OBJECTS,
            "<StorageSessions>": {"s3:ListBucket"},
            "<TurnsQueue>": _CONSUME,
            _CONNECTIONS.format(stage=stage, method="POST"): {"execute-api:ManageConnections"},
        },
        "JanitorEndedRole": {
            **_SWEEPER,
            "<JanitorEndedLogs>": _LOG,
            "<StorageLocksStream>": _all("dynamodb", "DescribeStream", "GetRecords", "GetShardIterator"),
            "*": {"dynamodb:ListStreams"},
            "<JanitorSweeps>": _SEND,
            "<JanitorEndedFailures>": _SEND_AS_CDK,
        },
        "JanitorAgainRole": {**_SWEEPER, "<JanitorAgainLogs>": _LOG, "<JanitorSweeps>": _CONSUME | _SEND},
        "JanitorWeeklyRole": {
            **_SWEEPER,
            "<JanitorWeeklyLogs>": _LOG,
            "<JanitorSweeps>": _SEND,
            "<JanitorWeeklyRuns>": _CONSUME | _SEND,
        },
    }


ON_AWS: Final[Grants] = {
    "GatewayMessageRole": {
        "*": _all(
            "ec2",
            "AssignPrivateIpAddresses",
            "CreateNetworkInterface",
            "DeleteNetworkInterface",
            "DescribeNetworkInterfaces",
            "DescribeSubnets",
            "UnassignPrivateIpAddresses",
        )
    },
    "WorkersTaskTaskRole": {
        _MODEL.format(model="amazon.nova-2-sonic-v1:0"): _all(
            "bedrock", "InvokeModel", "InvokeModelWithBidirectionalStream"
        )
    },
    "WorkersTaskExecutionRole": {
        _IMAGES: _all("ecr", "BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"),
        "*": {"ecr:GetAuthorizationToken"},
    },
    "TurnsHandlerRole": {
        resource: _all("bedrock", "InvokeModel", "InvokeModelWithResponseStream")
        for resource in (
            "arn:<AWS::Partition>:bedrock:<AWS::Region>:<AWS::AccountId>:inference-profile/us.amazon.nova-lite-v1:0",
            "arn:<AWS::Partition>:bedrock:*::foundation-model/amazon.nova-lite-v1:0",
        )
    },
    # CDK's own, which empties the VPC's default security group once, and which makes test invocations: their policies
    # are in the roles, not beside them.
    "CustomVpcRestrictDefaultSGCustomResourceProviderRole": {},
    "AWSCDKTriggerCustomResourceProviderCustomResourceProviderRole": {},
    # CDK's own, which writes the page's settings: it reads what the deployment uploaded.
    "CustomCDKBucketDeployment8693BB64968944B69AAFB0CC9EB8756CServiceRole": {
        resource: _all("s3", "GetBucket*", "GetObject*", "List*") for resource in (_ASSETS, f"{_ASSETS}/*")
    }
    | {
        resource: _all("s3", "Abort*", "DeleteObject*", "GetBucket*", "GetObject*", "List*")
        | _all("s3", "PutObject", "PutObjectLegalHold", "PutObjectRetention", "PutObjectTagging")
        | _all("s3", "PutObjectVersionTagging")
        for resource in ("<PageFiles>", "<PageFiles>/*")
    },
}
"""Grants that the default settings add: for the VPC, the models and the image, which the emulator's stage lacks."""
