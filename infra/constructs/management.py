"""API Gateway's management API, by which functions and workers write to clients."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_iam as iam

from infra.config import Config


def management_endpoint(config: Config, stage: apigateway.WebSocketStage) -> str:
    """Return the management API's address: a whole one, or a path on the endpoint of all services."""
    if config.target.named_management:
        return stage.callback_url
    return f"/_aws/execute-api/{stage.api.api_id}/{stage.stage_name}"


def allow_connections(grantee: iam.IGrantable, stage: apigateway.WebSocketStage, method: str) -> None:
    """Let a role reach the connections of a stage.

    Args:
        grantee: Whose role.
        stage: Of which API.
        method: POST (write), or ``*`` (look and close, too).
    """
    connections = Stack.of(stage).format_arn(
        service="execute-api",
        resource=stage.api.api_id,
        resource_name=f"{stage.stage_name}/{method}/@connections/*",
    )
    statement = iam.PolicyStatement(actions=["execute-api:ManageConnections"], resources=[connections])
    grantee.grant_principal.add_to_principal_policy(statement)
