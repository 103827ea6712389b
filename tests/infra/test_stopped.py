"""The rule for tasks that have stopped, and the function that it calls."""

from __future__ import annotations

import importlib
import json

from infra.constructs.stopped import MAX_AGE, RETRIES


def function_of(stage):
    (function,) = [
        each
        for each in stage.service.of_type("AWS::Lambda::Function").values()
        if each["Handler"] == "gateway.stopped.handler"
    ]
    return function


def rule(stage):
    return stage.service.named("AWS::Events::Rule", "TaskStopped")


def failures(stage):
    (name,) = [name for name in stage.service.of_type("AWS::SQS::Queue") if "StoppedFailures" in name]
    return {"Fn::GetAtt": [name, "Arn"]}


def test_rule_matches_only_stopped_tasks_of_this_service(stage):
    pattern = rule(stage)["EventPattern"]
    assert pattern["source"] == ["aws.ecs"]
    assert pattern["detail-type"] == ["ECS Task State Change"]
    assert pattern["detail"]["lastStatus"] == ["STOPPED"]
    (cluster,) = pattern["detail"]["clusterArn"]
    assert cluster["Fn::GetAtt"][0].startswith("WorkersCluster")
    (group,) = pattern["detail"]["group"]
    assert group["Fn::Join"][1][0] == "service:"
    assert group["Fn::Join"][1][1]["Fn::GetAtt"][0].startswith("WorkersService")
    assert group["Fn::Join"][1][1]["Fn::GetAtt"][1] == "Name"


def test_stopped_function_has_its_handler_and_variables(stage):
    function = function_of(stage)
    module, _, name = function["Handler"].rpartition(".")
    stopped = importlib.import_module(module)
    assert callable(getattr(stopped, name))
    asked = {f"SEGUE_{field.upper()}" for field in stopped.StoppedEnvironment.__struct_fields__}
    given = set(function["Environment"]["Variables"])
    assert asked <= given
    assert {each for each in given if each.startswith("SEGUE_")} - asked == {"SEGUE_STAGE"}
    assert "VpcConfig" not in function
    assert function["Timeout"] == 60


def test_failed_invocations_of_the_stopped_function_go_to_the_failures_queue(stage):
    (invoked,) = stage.service.of_type("AWS::Lambda::EventInvokeConfig").values()
    assert invoked["DestinationConfig"]["OnFailure"]["Destination"] == failures(stage)
    (target,) = rule(stage)["Targets"]
    assert target["DeadLetterConfig"]["Arn"] == failures(stage)
    limits = {"MaximumRetryAttempts": RETRIES, "MaximumEventAgeInSeconds": MAX_AGE.to_seconds()}
    assert target["RetryPolicy"] == limits
    assert {name: invoked[name] for name in limits} == limits


def test_a_deployment_without_workers_has_no_rule_for_stopped_tasks(synthesized):
    resources = synthesized(workers="text").service.resources
    assert "StoppedTaskStopped" not in json.dumps(resources)
