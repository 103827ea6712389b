"""The page's settings file, ``settings.json``: the one thing that the page learns from a deployment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as deployment
from constructs import Construct, IDependable

from infra.config import Config
from infra.constructs.log_groups import log_group

NAME: Final = "settings.json"
SCOPES: Final = ("openid", "email")


class SettingsFile(Construct):
    """The file in the page's bucket, written after everything that it names."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: Config,
        *,
        bucket: s3.IBucket,
        content: dict[str, str],
        after: Sequence[IDependable],
    ) -> None:
        """Add the file.

        Args:
            scope: Where.
            construct_id: Under which name.
            config: The deployment.
            bucket: The page's.
            content: ``url`` of the API, ``issuer`` and ``clientId``.
            after: Resources that must be there first.
        """
        super().__init__(scope, construct_id)
        upload = deployment.BucketDeployment(
            self,
            "Upload",
            sources=[deployment.Source.json_data(NAME, {**content, "login": "oidc", "scopes": list(SCOPES)})],
            destination_bucket=bucket,
            prune=False,
            log_group=log_group(self, "Logs", config, "cdk/settings"),
        )
        upload.node.add_dependency(*after)
