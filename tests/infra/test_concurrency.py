"""Concurrency of the message function: reserved, kept warm, or as much as the account has."""

from __future__ import annotations

import pytest

from infra.config import from_context
from infra.setting_fields import ConfigurationError


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


def test_nothing_is_reserved_by_default(stage):
    """An account's first quota may be ten: a reservation would fail after image, network and service were made."""
    assert reservations(stage) == {}


def test_concurrency_is_reserved_only_for_the_message_function(synthesized):
    stage = synthesized(message_concurrency="100", expected_frame_rate="995", workers="text")

    assert reservations(stage) == {"GatewayMessage": 100}
    assert route_settings(stage) == {"ThrottlingRateLimit": 2 * 995, "ThrottlingBurstLimit": 995}


def test_production_as_documented_is_not_throttled_by_itself():
    """1,600 sessions of 40 workers send 16,000 frames a second: the account has the limit, or what it is told."""
    production = {"worker_count": 4, "worker_count_max": 40}
    config = from_context(production)
    assert (config.frame_rate, config.throttle_rate) == (10_000, 10_000)
    config = from_context({**production, "account_message_rate": 50_000})
    assert (config.frame_rate, config.throttle_rate) == (16_000, 32_000)
    config = from_context({**production, "workers": "text"})
    assert config.throttle_rate == 10_000


@pytest.mark.parametrize(
    ("settings", "name", "why"),
    [
        ({"expected_frame_rate": 10_001}, "expected_frame_rate", "account_message_rate (10000)"),
        ({"message_concurrency": 399}, "message_concurrency", "at least 400, one for every ten of 4000 frames"),
        (
            {"message_concurrency": 5, "expected_frame_rate": 0, "provisioned_concurrency": 6},
            "message_concurrency",
            "6",
        ),
    ],
)
def test_sizes_that_throttle_their_own_callers_are_refused(settings, name, why):
    with pytest.raises(ConfigurationError, match=name) as refused:
        from_context(settings)
    assert why in str(refused.value)


def test_an_unknown_rate_reserves_and_throttles_nothing(synthesized):
    stage = synthesized(expected_frame_rate="0", workers="text")

    assert reservations(stage) == {}
    assert route_settings(stage) is None


def test_the_route_calls_the_alias_and_nothing_else(dev):
    ((name, alias),) = [each for each in dev.service.of_type("AWS::Lambda::Alias").items() if "Message" in each[0]]
    assert (called_by_the_default_route(dev), callable_by_the_default_route(dev)) == (name, {name})
    function = alias["FunctionName"]["Ref"]
    assert function.startswith("GatewayMessage")
    version = dev.service.resources[alias["FunctionVersion"]["Fn::GetAtt"][0]]
    assert (version["Type"], version["Properties"]["FunctionName"]["Ref"]) == ("AWS::Lambda::Version", function)
    assert "ProvisionedConcurrencyConfig" not in alias


def test_environments_are_kept_warm_where_the_route_calls(synthesized):
    stage = synthesized(provisioned_concurrency="5", workers="text")

    warm = {"ProvisionedConcurrentExecutions": 5}
    assert stage.service.named("AWS::Lambda::Alias", "Message")["ProvisionedConcurrencyConfig"] == warm
    assert "ProvisionedConcurrencyConfig" not in stage.service.named("AWS::Lambda::Alias", "Turns")
    assert reservations(stage) == {}


def test_the_emulator_has_no_aliases(local):
    (name,) = callable_by_the_default_route(local)
    assert (called_by_the_default_route(local), local.service.resources[name]["Type"]) == (
        name,
        "AWS::Lambda::Function",
    )
