"""Settings of the direct transport: what follows from them, and which contradict each other."""

from __future__ import annotations

import pytest

from infra.config import BALANCER_TARGETS, from_context
from infra.setting_fields import ConfigurationError
from tests.infra.transports import BALANCERS, CERTIFICATE, DOOR, FUNCTIONS, VPC


def test_a_large_deployment_keeps_each_zone_to_itself():
    """With every task beside its successor, the targets of one balancer stay within AWS's default quota."""
    small, large = (
        from_context({"transport": "direct", **DOOR, "worker_count_max": most})
        for most in (BALANCER_TARGETS // 2, BALANCER_TARGETS // 2 + 1)
    )

    assert small.crosses_zones
    assert not large.crosses_zones


@pytest.mark.parametrize(
    ("settings", "name", "allowed"),
    [
        ({"transport": "both"}, "direct_domain_name", "needed with transport=both"),
        ({"transport": "direct", "direct_domain_name": "a.example"}, "direct_certificate_arn", "needed with"),
        ({"transport": "direct", "workers": "text", **DOOR}, "transport", "api with workers=text"),
        ({"transport": "both", "workers": "text", **DOOR}, "transport", "api with workers=text"),
        ({"transport": "direct", "stage": "local", **DOOR}, "transport", "api with stage=local"),
        ({"transport": "lb"}, "transport", "api, direct, both"),
        ({"transport": "direct", "region": "eu-west-1", **DOOR}, "direct_certificate_arn", "one in eu-west-1"),
        (DOOR, "direct_domain_name", "only with transport=direct or transport=both"),
        ({"direct_sockets": 10}, "direct_sockets", "only with transport=direct"),
        ({"transport": "direct", **DOOR, "direct_sockets": 39}, "direct_sockets", "at least worker_capacity (40)"),
        ({"direct_origins": "https://a.example"}, "direct_origins", "only with transport=direct"),
        ({"transport": "both", **DOOR, "direct_origins": "a.example"}, "direct_origins", "web origins"),
        ({"transport": "both", **DOOR, "direct_origins": "https://a.example/x"}, "direct_origins", "web origins"),
        (
            {
                "transport": "both",
                **DOOR,
                "domain_name": DOOR["direct_domain_name"],
                "domain_certificate_arn": CERTIFICATE,
            },
            "direct_domain_name",
            "another name than domain_name",
        ),
        (
            {"transport": "direct", **DOOR, "domain_name": "a.example.com", "domain_certificate_arn": CERTIFICATE},
            "domain_name",
            "only with a WebSocket API",
        ),
        ({"transport": "direct", **DOOR, "message_concurrency": 4000}, "message_concurrency", "only with a WebSocket"),
        ({"transport": "direct", **DOOR, "provisioned_concurrency": 1}, "provisioned_concurrency", "0 with transport"),
        ({"transport": "direct", **DOOR, **VPC, **FUNCTIONS}, "vpc_function_subnets", "only with a WebSocket API"),
        ({"transport": "both", **DOOR, **VPC}, "vpc_function_subnets", "needed with vpc_id"),
        (
            {"transport": "direct", **DOOR, **VPC, "network": "private"},
            "vpc_balancer_subnets",
            "needed with vpc_id",
        ),
        (
            {"transport": "direct", **DOOR, **VPC, "vpc_balancer_subnets": "subnet-41234567"},
            "vpc_balancer_subnets",
            "one subnet for each of vpc_zones",
        ),
        ({**VPC, **FUNCTIONS, **BALANCERS}, "vpc_balancer_subnets", "only with transport=direct"),
        ({"transport": "direct", **DOOR, **BALANCERS}, "vpc_balancer_subnets", "only with vpc_id"),
    ],
)
def test_contradicting_settings_of_the_balancer_are_refused(settings, name, allowed):
    with pytest.raises(ConfigurationError) as refused:
        from_context(settings)

    assert (refused.value.name, allowed in refused.value.allowed) == (name, True), str(refused.value)


def test_texts_go_to_workers_where_there_is_no_api():
    config = from_context({"transport": "direct", **DOOR})

    assert (config.voice, config.text, config.sockets) == (True, False, 160)
    assert from_context({"transport": "both", **DOOR}).text
