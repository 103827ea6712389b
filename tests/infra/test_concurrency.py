"""Concurrency of the message function: reserved, kept warm, or as much as the account has."""

import pytest


def reservations(stage):
    return {
        name.rstrip("0123456789ABCDEF"): each["ReservedConcurrentExecutions"]
        for name, each in stage.service.of_type("AWS::Lambda::Function").items()
        if "ReservedConcurrentExecutions" in each
    }


def route_settings(stage):
    (deployed,) = stage.service.of_type("AWS::ApiGatewayV2::Stage").values()
    return deployed.get("DefaultRouteSettings")


def called_by_the_default_route(stage):
    """The logical id of what the route's integration calls."""
    (route,) = [
        each for each in stage.service.of_type("AWS::ApiGatewayV2::Route").values() if each["RouteKey"] == "$default"
    ]
    integration = stage.service.resources[route["Target"]["Fn::Join"][1][1]["Ref"]]["Properties"]
    (target,) = [part for part in integration["IntegrationUri"]["Fn::Join"][1] if "Gateway" in str(part)]
    return target.get("Ref") or target["Fn::GetAtt"][0]


def callable_by_the_default_route(stage):
    """The logical ids of what the route may call."""
    return {
        each["FunctionName"].get("Ref") or each["FunctionName"]["Fn::GetAtt"][0]
        for each in stage.service.of_type("AWS::Lambda::Permission").values()
        if str(each["SourceArn"]).find("*$default") >= 0
    }


def test_an_environment_for_each_ten_frames_a_second_is_reserved_for_the_message_function_alone(stage):
    assert reservations(stage) == {"GatewayMessage": stage.config.frame_rate // 10}


@pytest.mark.parametrize(("rate", "reserved"), [("1", 1), ("10", 1), ("11", 2), ("995", 100)])
def test_a_part_of_ten_takes_an_environment_as_well(synthesized, rate, reserved):
    stage = synthesized(expected_frame_rate=rate, workers="text")

    assert reservations(stage) == {"GatewayMessage": reserved}
    assert route_settings(stage) == {"ThrottlingRateLimit": 2 * int(rate), "ThrottlingBurstLimit": int(rate)}


def test_an_unknown_rate_reserves_and_throttles_nothing(synthesized):
    stage = synthesized(expected_frame_rate="0", workers="text")

    assert reservations(stage) == {}
    assert route_settings(stage) is None


def test_without_the_setting_nothing_is_kept_warm(dev):
    assert not dev.service.of_type("AWS::Lambda::Alias")
    (name,) = callable_by_the_default_route(dev)
    assert (called_by_the_default_route(dev), dev.service.resources[name]["Type"]) == (name, "AWS::Lambda::Function")


@pytest.mark.parametrize(("rate", "reserved"), [("20", 5), ("200", 20), ("0", 5)])
def test_environments_kept_warm_are_those_that_the_route_calls(synthesized, rate, reserved):
    stage = synthesized(provisioned_concurrency="5", expected_frame_rate=rate, workers="text")

    ((name, alias),) = stage.service.of_type("AWS::Lambda::Alias").items()
    assert alias["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": 5}
    function = alias["FunctionName"]["Ref"]
    assert function.startswith("GatewayMessage")
    version = stage.service.resources[alias["FunctionVersion"]["Fn::GetAtt"][0]]
    assert (version["Type"], version["Properties"]["FunctionName"]["Ref"]) == ("AWS::Lambda::Version", function)
    assert called_by_the_default_route(stage) == name
    assert callable_by_the_default_route(stage) == {name}
    # Lambda refuses to keep more warm than are reserved.
    assert reservations(stage) == {"GatewayMessage": reserved}
