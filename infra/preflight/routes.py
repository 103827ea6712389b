"""Routes and endpoints of a VPC: how a subnet leads out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from infra.preflight.account import Account

GATEWAYS: Final = (
    "NatGatewayId",
    "TransitGatewayId",
    "GatewayId",
    "EgressOnlyInternetGatewayId",
    "NetworkInterfaceId",
    "VpcPeeringConnectionId",
    "CarrierGatewayId",
    "LocalGatewayId",
    "CoreNetworkArn",
)
"""Targets of a route, as EC2 names them."""


class VpcRoutes:
    """Ways out of a VPC's subnets."""

    def __init__(self, tables: list[dict[str, Any]], endpoints: list[dict[str, Any]]) -> None:
        """Take what EC2 answers about the VPC's route tables and endpoints."""
        self._tables, self._endpoints = (
            tables,
            [each for each in endpoints if each.get("State", "").lower() == "available"],
        )

    def table(self, subnet: str) -> str:
        """The id of a subnet's route table, the VPC's main one if it has none of its own."""
        return str((self._table_of(subnet) or {}).get("RouteTableId", "rtb-…"))

    def default_route(self, subnet: str, *, ipv6: bool = False) -> str:
        """The target of a subnet's way to the internet; empty if it has none, or one that leads nowhere."""
        name, any_address = ("DestinationIpv6CidrBlock", "::/0") if ipv6 else ("DestinationCidrBlock", "0.0.0.0/0")
        for route in (self._table_of(subnet) or {}).get("Routes", []):
            if route.get(name) == any_address and route.get("State") != "blackhole":
                return str(next((route[target] for target in GATEWAYS if target in route), ""))
        return ""

    def private_names(self, service: str) -> str | None:
        """The id of an interface endpoint that takes a service's usual name over; None if there is none."""
        for each in self._endpoints:
            if each["ServiceName"].endswith(f".{service}") and each.get("PrivateDnsEnabled"):
                return str(each["VpcEndpointId"])
        return None

    def unreachable(self, subnet: str, services: Iterable[str], *, public: bool) -> list[str]:
        """Services to which neither a default route nor an endpoint leads.

        Args:
            subnet: From where.
            services: As endpoints' names end.
            public: True if what runs there has a public address, so that an internet gateway is a way out.
        """
        route = self.default_route(subnet)
        if route and (public or not route.startswith("igw-")):
            return []
        table = self.table(subnet)
        return [each for each in services if not self._endpoint(each, table)]

    def _endpoint(self, service: str, table: str) -> bool:
        for each in self._endpoints:
            if each["ServiceName"].endswith(f".{service}"):
                if each["VpcEndpointType"] == "Gateway":
                    return table in each.get("RouteTableIds", [])
                return bool(each.get("PrivateDnsEnabled"))
        return False

    def _table_of(self, subnet: str) -> dict[str, Any] | None:
        main = None
        for table in self._tables:
            for association in table.get("Associations", []):
                if association.get("SubnetId") == subnet:
                    return table
                if association.get("Main"):
                    main = table
        return main


def read_vpc_routes(account: Account, vpc_id: str) -> VpcRoutes:
    """Ask for a VPC's route tables and endpoints."""
    of_vpc = [{"Name": "vpc-id", "Values": [vpc_id]}]
    tables = account.ask_all("ec2", "DescribeRouteTables", "RouteTables", Filters=of_vpc)
    endpoints = account.ask_all("ec2", "DescribeVpcEndpoints", "VpcEndpoints", Filters=of_vpc)
    return VpcRoutes(tables, endpoints)
