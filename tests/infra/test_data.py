from __future__ import annotations

from aws_cdk.assertions import Match

OUTPUTS = {"BucketName", "LockTableName", "ConnectionsTableName"}


def test_data_stack_has_these_outputs(stage):
    users = {"UserPoolId", "UserPoolClientId"} if stage.config.auth.mode == "cognito" else set()
    assert stage.data.outputs == OUTPUTS | users


def test_the_bucket_is_not_public_and_nothing_is_sent_in_clear(stage):
    stage.data.template.has_resource_properties(
        "AWS::S3::Bucket",
        {
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        },
    )
    for condition in ({"Bool": {"aws:SecureTransport": "false"}}, {"NumericLessThan": {"s3:TlsVersion": 1.2}}):
        stage.data.template.has_resource_properties(
            "AWS::S3::BucketPolicy",
            {
                "PolicyDocument": Match.object_like(
                    {
                        "Statement": Match.array_with(
                            [
                                Match.object_like(
                                    {
                                        "Action": "s3:*",
                                        "Effect": "Deny",
                                        "Principal": {"AWS": "*"},
                                        "Condition": condition,
                                    }
                                )
                            ]
                        )
                    }
                )
            },
        )


def test_no_rule_of_the_bucket_ends_a_session_and_nothing_keeps_what_was_redacted(stage):
    bucket = stage.data.named("AWS::S3::Bucket", "Sessions")

    assert "VersioningConfiguration" not in bucket
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert {name for name in rule if name not in {"Id", "Status"}} == {"AbortIncompleteMultipartUpload"}


def test_tables_have_their_keys_and_time_to_live(stage):
    locks = stage.data.named("AWS::DynamoDB::Table", "Locks")
    connections = stage.data.named("AWS::DynamoDB::Table", "Connections")

    assert locks["KeySchema"] == [{"AttributeName": "session_key", "KeyType": "HASH"}]
    assert connections["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    for table in (locks, connections):
        assert {each["AttributeType"] for each in table["AttributeDefinitions"]} == {"S"}
        assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
        assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_stream_of_the_locks_table_has_both_images(stage):
    assert stage.data.named("AWS::DynamoDB::Table", "Locks")["StreamSpecification"] == {
        "StreamViewType": "NEW_AND_OLD_IMAGES"
    }
    assert "StreamSpecification" not in stage.data.named("AWS::DynamoDB::Table", "Connections")


def test_data_is_kept_and_protected_in_aws(dev):
    for kind in ("AWS::S3::Bucket", "AWS::DynamoDB::Table"):
        dev.data.template.all_resources(
            kind, {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
        )
    for table in dev.data.of_type("AWS::DynamoDB::Table").values():
        assert table["DeletionProtectionEnabled"] is True
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    dev.data.template.all_resources(
        "AWS::KMS::Key", {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
    )


def test_one_key_of_this_account_encrypts_everything(stage):
    (key,) = stage.data.of_type("AWS::KMS::Key")

    assert stage.data.of_type("AWS::KMS::Key")[key]["EnableKeyRotation"] is True
    used = {"Fn::GetAtt": [key, "Arn"]}
    bucket = stage.data.named("AWS::S3::Bucket", "Sessions")
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": used}
    # Without it each commit would be a request to KMS.
    assert rule["BucketKeyEnabled"] is True
    for table in stage.data.of_type("AWS::DynamoDB::Table").values():
        assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": used}


def test_local_data_goes_with_its_stack(local):
    for kind in ("AWS::S3::Bucket", "AWS::DynamoDB::Table"):
        local.data.template.all_resources(kind, {"DeletionPolicy": "Delete"})
