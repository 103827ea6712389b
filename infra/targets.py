"""Differences between the two places that a stack can be deployed to.

The emulator's CloudFormation knows fewer resource types than AWS, and some that it takes have no effect. Everything
that is left out for it is named here and nowhere else; constructs ask for the capability, not for the stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A place to deploy to.

    Attributes:
        network_isolation: IPv6, the egress-only gateway, the message function inside the VPC, rules between security
            groups, and the custom resource that empties the default security group.
        named_management: Whether API Gateway's management API has a host of its own; if not, it is a path on the
            endpoint of all services.
        scaling: Whether the service has capacity providers, and grows and shrinks by itself.
        saved_monitoring: Whether there are composite alarms and saved queries of logs.
        keeps_data: Whether bucket and tables outlive their stack and are protected from deletion.
        versions: Whether traffic reaches functions through an alias that moves to a new version last, the text
            function's after a test invocation.
        web: Whether the page to talk on is deployed.
    """

    network_isolation: bool
    named_management: bool
    scaling: bool
    saved_monitoring: bool
    keeps_data: bool
    versions: bool
    web: bool


AWS: Final = Target(
    network_isolation=True,
    named_management=True,
    scaling=True,
    saved_monitoring=True,
    keeps_data=True,
    versions=True,
    web=True,
)

EMULATOR: Final = Target(
    network_isolation=False,
    named_management=False,
    scaling=False,
    saved_monitoring=False,
    keeps_data=False,
    versions=False,
    web=False,
)
"""MiniStack: it has no ``AWS::EC2::EgressOnlyInternetGateway``, ``VPCCidrBlock``, ``SecurityGroupIngress`` and
``SecurityGroupEgress``, no ``AWS::ApplicationAutoScaling`` and ``AWS::ECS::ClusterCapacityProviderAssociations``,
no ``AWS::CloudWatch::CompositeAlarm`` and ``AWS::Logs::QueryDefinition``. It sends to the client what the function of
any route returns as ``body``. Its custom resources wait for ever, and a data folder that is deleted is deleted on
purpose. The janitor runs there as it is, but TTL, which a template does not even turn on there, leaves no record in a
table's stream (the weekly sweep finds these sessions), and a stream's batch that reports failures counts as done."""
