"""The order of a deployment: what may fail comes first, what callers reach comes last (RFC 0021)."""

from __future__ import annotations

import json
import re

import pytest

KINDS = {
    "workers": "AWS::ECS::Service",
    "trial": "Custom::Trigger",
    "version": "AWS::Lambda::Version",
    "alias": "AWS::Lambda::Alias",
    "function": "AWS::Lambda::Function",
    "source": "AWS::Lambda::EventSourceMapping",
}


def only(stage, kind, part=""):
    """The logical id of a resource."""
    (name,) = [
        name
        for name, each in stage.service.resources.items()
        if each["Type"] == KINDS[kind] and part in re.sub(r"[0-9A-F]{8}", "", name)
    ]
    return name


def before(stage, name):
    """The logical ids of everything that CloudFormation makes or changes before a resource."""
    resources, found, waiting = stage.service.resources, set(), [name]
    while waiting:
        resource = resources[waiting.pop()]
        named = set(re.findall(r'"(?:Ref|Fn::GetAtt)": \[?"(\w+)"', json.dumps(resource.get("Properties", {}))))
        depends = resource.get("DependsOn", [])
        named |= set([depends] if isinstance(depends, str) else depends)
        new = (named & resources.keys()) - found
        found |= new
        waiting += new
    return found


@pytest.fixture
def workers(dev):
    return only(dev, "workers")


def test_a_reservation_that_the_account_refuses_fails_before_workers_are_made(dev, workers):
    """It is the message function's own: the function is made first, and called through an alias that comes last."""
    function = only(dev, "function", "GatewayMessage")

    assert function in before(dev, workers)
    assert workers not in before(dev, function)
    assert workers in before(dev, only(dev, "alias", "GatewayMessage"))


def test_the_new_text_function_is_tried_before_anything_else_changes(dev, workers):
    trial = only(dev, "trial")
    (invoked,) = [dev.service.resources[trial]["Properties"]["HandlerArn"]["Ref"]]

    assert invoked == only(dev, "version", "TurnsHandler")
    assert trial in before(dev, workers)
    assert not before(dev, trial) & {workers, only(dev, "alias", "TurnsHandler"), only(dev, "alias", "GatewayMessage")}


def test_texts_reach_the_version_that_was_tried_once_the_workers_are_up(dev, workers):
    alias = only(dev, "alias", "TurnsHandler")
    properties = dev.service.resources[alias]["Properties"]

    assert properties["FunctionVersion"]["Fn::GetAtt"] == [only(dev, "version", "TurnsHandler"), "Version"]
    assert {only(dev, "trial"), workers} <= before(dev, alias)
    assert alias in str(dev.service.resources[only(dev, "source", "TurnsHandlerLive")]["Properties"]["FunctionName"])


def test_the_functions_of_the_gateway_come_last(dev, workers):
    last = {only(dev, "alias", "TurnsHandler"), only(dev, "source", "TurnsHandlerLive"), workers}
    for name in ("Authorizer", "Connect", "Disconnect"):
        assert last <= before(dev, only(dev, "function", f"Gateway{name}"))
    assert last <= before(dev, only(dev, "alias", "GatewayMessage"))


def test_each_version_has_a_trial_of_its_own(synthesized):
    """One that fails is then taken away: an update would be undone by trying the version before, which may fail too."""
    stages = [synthesized(workers="text", **more) for more in ({}, {"approval_seconds": 60}, {"log_retention_days": 7})]
    trials = [only(stage, "trial") for stage in stages]

    assert trials[0] == trials[2] != trials[1], "another version is another trial; the same one is not tried again"
    for stage, trial in zip(stages, trials, strict=True):
        assert trial == f"Trial{only(stage, 'version', 'TurnsHandler')}"


def test_a_deployment_without_text_has_no_trial(synthesized):
    voice = synthesized(workers="voice")

    assert not voice.service.of_type("Custom::Trigger")
    assert only(voice, "function", "GatewayMessage") in before(voice, only(voice, "workers"))
    assert only(voice, "workers") in before(voice, only(voice, "alias", "GatewayMessage"))


def test_on_the_emulator_workers_come_before_the_gateway(local):
    workers = only(local, "workers")

    assert not local.service.of_type("AWS::Lambda::Alias")
    assert "TurnsHandler" in str(local.service.resources[only(local, "source", "TurnsHandler")]["Properties"])
    for name in ("Authorizer", "Connect", "Disconnect", "Message"):
        found = before(local, only(local, "function", f"Gateway{name}"))
        assert {workers, only(local, "function", "TurnsHandler")} <= found


def test_the_api_may_call_a_function_before_it_does(dev):
    """The upgrade to an alias changes permission and integration, and frames come in between."""
    resources = dev.service.resources
    routes = ("connect", "default", "disconnect")
    for route in routes:
        of_it = {name: each["Type"] for name, each in resources.items() if f"Api{route}Route" in name}
        (integration,) = [name for name, kind in of_it.items() if kind == "AWS::ApiGatewayV2::Integration"]
        (permission,) = [name for name, kind in of_it.items() if kind == "AWS::Lambda::Permission"]
        assert permission in before(dev, integration)


def test_a_page_that_finds_its_settings_finds_all_routes(dev):
    (settings,) = [
        name for name, each in dev.service.resources.items() if each["Type"] == "Custom::CDKBucketDeployment"
    ]
    routes = {name for name, each in dev.service.resources.items() if each["Type"] == "AWS::ApiGatewayV2::Route"}
    assert len(routes) == 3
    assert routes <= before(dev, settings)
