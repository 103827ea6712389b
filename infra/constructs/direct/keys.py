"""The issuer's keys for workers that cannot reach the issuer.

worker (no IPv4) ──invoke, over IPv6──▶ gateway.keys (outside the VPC) ──▶ issuer

Workers of a private network reach what has an IPv6 address. Cognito's keys have none, and of another issuer it is not
known at synthesis. The function takes no input and answers with the issuer's document, which is public.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.config import Config
from infra.constructs.auth import Auth
from infra.constructs.functions import Entry, python_function
from infra.constructs.layers import Layers

TIMEOUT: Final = Duration.seconds(10)
"""Longer than the issuer may take for its answer, which the function says itself."""


class Keys(Construct):
    """The function that hands out the issuer's keys.

    Attributes:
        url: SEGUE_TOKEN_KEYS_URL of the workers, which ``worker.direct.issuer_keys`` understands.
        environment: Variables with which workers find Lambda over IPv6.
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config, auth: Auth, layers: Layers) -> None:
        super().__init__(scope, construct_id)
        entry = Entry(
            package="gateway",
            name="keys",
            versions=layers.authorizer,
            timeout=TIMEOUT,
            environment={"SEGUE_TOKEN_KEYS_URL": auth.keys_url},
        )
        self._function = python_function(self, config, layers, entry)
        self.url = f"lambda:{self._function.function_name}"
        self.environment = {"AWS_ENDPOINT_URL_LAMBDA": f"https://lambda.{Aws.REGION}.api.aws"}

    def allow(self, role: iam.IRole) -> None:
        """Let a role invoke the function."""
        statement = iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[self._function.function_arn])
        role.add_to_principal_policy(statement)
