"""The gateway: the WebSocket API, its authorizer, and the three functions behind its routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import Config
from infra.constructs.auth import Auth
from infra.constructs.functions import Entry, live, python_function
from infra.constructs.layers import Layers
from infra.constructs.management import allow_connections, management_endpoint
from infra.constructs.network import Network
from infra.constructs.storage import Storage

CONNECT_SECONDS: Final = 10
MESSAGE_SECONDS: Final = 20
"""Below the 29 s that API Gateway waits, above the few seconds that a plain client's message waits for a holder."""

NETWORK_INTERFACE_ACTIONS: Final = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]
"""Permissions that put a function into a VPC. The calls take no resource that is known beforehand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """Resources that the gateway is connected to."""

    storage: Storage
    auth: Auth
    claims: sqs.IQueue
    layers: Layers
    network: Network | None
    turns: sqs.IQueue | None = None
    page_client_id: str | None = None


class Gateway(Construct):
    """WebSocket API, stage and functions.

    Attributes:
        api: The WebSocket API.
        stage: Its only stage, named after the deployment's.
        functions: By name: authorizer, connect, message, disconnect.
        entries: Resources through which they are called, by the same names: of the message function its alias.
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config, parts: GatewayParts) -> None:
        super().__init__(scope, construct_id)
        self._config, self._parts = config, parts
        authorizer = self._authorizer_function()
        connect = self._function("connect", CONNECT_SECONDS, {})
        disconnect = self._function("disconnect", CONNECT_SECONDS, {})
        message = self._message_function()
        self.functions = {
            "authorizer": authorizer,
            "connect": connect,
            "message": message,
            "disconnect": disconnect,
        }
        warm = config.provisioned_concurrency
        self.entries = {**self.functions, "message": live(message, config, kept_warm=warm)}
        connections = parts.storage.connections_table
        connections.grant(connect, "dynamodb:PutItem")
        connections.grant(disconnect, "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:UpdateItem")
        connections.grant(message, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem")
        parts.storage.lock_table.grant(message, "dynamodb:GetItem")
        for queue in (parts.claims, parts.turns):
            if queue is not None:
                queue.grant(message, "sqs:SendMessage")
        self.api = self._api(self.entries)
        self._permit_before_routing()
        self.stage = apigateway.WebSocketStage(
            self,
            "Stage",
            web_socket_api=self.api,
            stage_name=config.stage,
            auto_deploy=True,
            # Twice what is expected: a flood through this API leaves the account's other APIs something.
            throttle=apigateway.ThrottleSettings(rate_limit=config.throttle_rate, burst_limit=config.frame_rate)
            if config.throttle_rate
            else None,
        )
        # Refusals and `pong`: the function says them to the connection, and may do nothing else with it.
        message.add_environment("SEGUE_MANAGEMENT_ENDPOINT", management_endpoint(config, self.stage))
        allow_connections(message, self.stage, "POST")

    @property
    def with_tables(self) -> list[lambda_.Function]:
        """The functions that use the tables: all but the authorizer."""
        return [function for name, function in self.functions.items() if name != "authorizer"]

    def _api(self, entries: Mapping[str, lambda_.IFunction]) -> apigateway.WebSocketApi:
        network = self._parts.network
        return apigateway.WebSocketApi(
            self,
            "Api",
            api_name=f"segue-{self._config.stage}",
            description="Segue: conversations that outlive the process that holds them",
            # From inside the VPC the connections are reached over IPv6.
            ip_address_type=apigateway.IpAddressType.DUAL_STACK if network and network.ipv6 else None,
            connect_route_options=apigateway.WebSocketRouteOptions(
                integration=integrations.WebSocketLambdaIntegration("Connect", entries["connect"]),
                # No identity source: the token comes in one place or the other, and API Gateway refuses a caller who
                # lacks any of those that are named.
                authorizer=authorizers.WebSocketLambdaAuthorizer(
                    "Authorizer", entries["authorizer"], identity_source=[]
                ),
            ),
            default_route_options=apigateway.WebSocketRouteOptions(
                integration=integrations.WebSocketLambdaIntegration("Message", entries["message"]),
                # No response: with one, a client gets a message for each of its frames. See RFC 0019.
            ),
            disconnect_route_options=apigateway.WebSocketRouteOptions(
                integration=integrations.WebSocketLambdaIntegration("Disconnect", entries["disconnect"])
            ),
        )

    def _permit_before_routing(self) -> None:
        """Let the API call a function before it does: frames of an upgrade would be errors in between."""
        for route in self.api.node.children:
            parts = route.node.find_all()
            permissions = [each for each in parts if isinstance(each, lambda_.CfnPermission)]
            for integration in (each for each in parts if isinstance(each, apigateway.CfnIntegration)):
                integration.node.add_dependency(*permissions)

    def _authorizer_function(self) -> lambda_.Function:
        # It sees no table and no queue, and is outside the VPC: it fetches the issuer's keys.
        auth = self._parts.auth
        variables = {
            "SEGUE_TOKEN_ISSUER": auth.issuer,
            "SEGUE_TOKEN_AUDIENCE": auth.audiences(self._parts.page_client_id),
            "SEGUE_TOKEN_KEYS_URL": auth.keys_url,
        }
        entry = Entry(
            package="gateway",
            name="authorizer",
            versions=self._parts.layers.authorizer,
            timeout=Duration.seconds(CONNECT_SECONDS),
            environment=variables,
        )
        return python_function(self, self._config, self._parts.layers, entry)

    def _message_function(self) -> lambda_.Function:
        network, turns = self._parts.network, self._parts.turns
        environment = {} if turns is None else {"SEGUE_TURNS_QUEUE_URL": turns.queue_url}
        capacity = {"reserved_concurrent_executions": self._config.message_concurrency}
        if network is None or network.message is None:
            return self._function("message", MESSAGE_SECONDS, environment, **capacity)
        environment |= network.function_environment
        function = self._function("message", MESSAGE_SECONDS, environment, **capacity, **network.function_options)
        function.add_to_role_policy(iam.PolicyStatement(actions=NETWORK_INTERFACE_ACTIONS, resources=["*"]))
        return function

    def _function(self, name: str, timeout_seconds: int, environment: dict[str, str], **more: Any) -> lambda_.Function:
        entry = Entry(
            package="gateway",
            name=name,
            timeout=Duration.seconds(timeout_seconds),
            environment={**self._environment(), **environment},
        )
        return python_function(self, self._config, self._parts.layers, entry, **more)

    def _environment(self) -> dict[str, str]:
        storage = self._parts.storage
        return {
            "SEGUE_LOCK_TABLE": storage.lock_table.table_name,
            "SEGUE_CONNECTIONS_TABLE": storage.connections_table.table_name,
            "SEGUE_CLAIMS_QUEUE_URL": self._parts.claims.queue_url,
        }
