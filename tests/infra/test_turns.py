"""The text function: its queue, its function, and what it may do."""

from __future__ import annotations

import pytest
from aws_cdk import App, Stack

from infra.constructs.bedrock import model_arns
from infra.constructs.turns import TRIAL_TIMEOUT, TURN_TIMEOUT
from shared.model_access import LIMIT_SECONDS
from tests.infra.test_permissions import called, granted, on
from turn.handler import MOST_TRIES
from turn.queue_message import HIDDEN_SECONDS, RENEWAL_SECONDS
from turn.trial import PAUSES_SECONDS
from turn.turn import TURN_SETTINGS

ENVIRONMENT = {
    "SEGUE_STAGE",
    "SEGUE_BUCKET",
    "SEGUE_LOCK_TABLE",
    "SEGUE_CONNECTIONS_TABLE",
    "SEGUE_TURNS_QUEUE_URL",
    "SEGUE_MANAGEMENT_ENDPOINT",
    "SEGUE_LEASE_SECONDS",
    "SEGUE_HEARTBEAT_SECONDS",
    "SEGUE_RETENTION_DAYS",
    "SEGUE_APPROVAL_SECONDS",
    "SEGUE_PROVIDER",
    "POWERTOOLS_SERVICE_NAME",
    "LOG_LEVEL",
}


@pytest.fixture
def function(stage):
    return stage.service.named("AWS::Lambda::Function", "TurnsHandler")


def queues(stage):
    found = {name: each for name, each in stage.service.of_type("AWS::SQS::Queue").items() if "TurnsQueue" in name}
    (dead,) = [name for name in found if "DeadLetters" in name]
    (queue,) = found.keys() - {dead}
    return queue, found[queue], dead, found[dead]


def test_a_session_is_a_group_with_a_throughput_of_its_own(stage):
    _, queue, dead, dead_queue = queues(stage)

    assert queue["FifoQueue"] is dead_queue["FifoQueue"] is True
    assert (queue["DeduplicationScope"], queue["FifoThroughputLimit"]) == ("messageGroup", "perMessageGroupId")
    assert "ContentBasedDeduplication" not in queue
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": [dead, "Arn"]},
        "maxReceiveCount": MOST_TRIES,
    }
    assert dead_queue["MessageRetentionPeriod"] == 14 * 86_400


def test_a_message_is_hidden_longer_than_lambda_may_need(stage, function):
    _, queue, _, _ = queues(stage)

    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    assert queue["MessageRetentionPeriod"] > MOST_TRIES * queue["VisibilityTimeout"]
    assert function["Timeout"] > TURN_SETTINGS.last_call_seconds + TURN_SETTINGS.reserve_seconds
    assert 3 * RENEWAL_SECONDS < HIDDEN_SECONDS < function["Timeout"]


def test_an_invocation_takes_one_turn(stage):
    source = stage.service.named("AWS::Lambda::EventSourceMapping", "TurnsHandler")

    assert source["EventSourceArn"] == {"Fn::GetAtt": [queues(stage)[0], "Arn"]}
    assert (source["BatchSize"], source["FunctionResponseTypes"]) == (1, ["ReportBatchItemFailures"])
    assert "MaximumBatchingWindowInSeconds" not in source


def test_all_tries_of_a_closed_model_fit_into_the_test_invocation():
    longest = sum(PAUSES_SECONDS) + (len(PAUSES_SECONDS) + 1) * LIMIT_SECONDS
    assert longest + 10 < TURN_TIMEOUT.to_seconds() < TRIAL_TIMEOUT.to_seconds()


def test_text_function_has_its_handler_environment_layers_and_code(stage, function):
    assert function["Handler"] == "turn.handler.handler"
    model = {"SEGUE_TEXT_MODEL_ID"} if not stage.config.offline else set()
    assert set(function["Environment"]["Variables"]) == ENVIRONMENT | model
    assert (function["Runtime"], function["Architectures"]) == ("python3.13", [stage.config.architecture])
    assert [each["Ref"].startswith(f"Layers{part}") for part, each in zip(
        ("Session", "TurnDependencies"), function["Layers"], strict=True
    )] == [True, True]  # fmt: skip
    assert "VpcConfig" not in function
    assert "ReservedConcurrentExecutions" not in function
    shipped = stage.service.folder / f"asset.{function['Code']['S3Key'].removesuffix('.zip')}"
    assert {each.relative_to(shipped).parts[0] for each in shipped.rglob("*")} == {"turn", "shared", "worker"}


def test_the_clients_are_where_the_stage_says(dev, local):
    def endpoint(stage):
        variables = stage.service.named("AWS::Lambda::Function", "TurnsHandler")["Environment"]["Variables"]
        return variables["SEGUE_MANAGEMENT_ENDPOINT"]["Fn::Join"][1]

    assert endpoint(dev)[0] == "https://"
    assert endpoint(local)[0] == "/_aws/execute-api/"


def test_only_the_message_function_fills_the_queue(stage):
    message = stage.service.named("AWS::Lambda::Function", "GatewayMessage")
    assert message["Environment"]["Variables"]["SEGUE_TURNS_QUEUE_URL"] == {"Ref": queues(stage)[0]}
    assert on(granted(stage, "GatewayMessageRole"), "TurnsQueue") == {"sqs:SendMessage"}
    assert on(granted(stage, "WorkersTaskTaskRole"), "TurnsQueue") == set()


def test_the_text_worker_may_make_the_calls_that_it_and_the_library_make(stage):
    needed = called("functions/turn", "layers/session/python/segue/storage")

    assert "sqs:ChangeMessageVisibility" in needed
    assert needed <= {action for action, _ in granted(stage, "TurnsHandlerRole")}


def test_arns_of_a_profile_include_its_models_in_all_regions():
    stack = Stack(App(), "Any")
    (one,) = stack.resolve(model_arns("amazon.nova-lite-v1:0"))
    assert one["Fn::Join"][1][-1] == "::foundation-model/amazon.nova-lite-v1:0"
    profile, everywhere = stack.resolve(model_arns("eu.amazon.nova-lite-v1:0"))
    assert profile["Fn::Join"][1][-1] == ":inference-profile/eu.amazon.nova-lite-v1:0"
    assert everywhere["Fn::Join"][1][-1] == ":bedrock:*::foundation-model/amazon.nova-lite-v1:0"
