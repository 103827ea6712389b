"""The web stack: the page to talk on. It comes before the service stack, which tells the page where that is.

    data ──▶ web ──▶ service
    pool     page's address, and the client that leads back to it
                      the client as an audience of tokens; last, the page's settings file

See RFC 0022.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct

from infra.config import Config
from infra.constructs.auth import Auth
from infra.constructs.web.files import PageFiles
from infra.constructs.web.sign_in import ManagedLogin


class WebStack(Stack):
    """Bucket, distribution, and, with a user pool of the deployment's own, its sign-in pages and the page's client.

    Attributes:
        files: The page.
        client_id: For whom the page's tokens are.
    """

    def __init__(
        self, scope: Construct, construct_id: str, config: Config, *, auth: Auth, files: Path, env: Environment
    ) -> None:
        super().__init__(scope, construct_id, env=env, description="Segue: the page to talk on")
        login = ManagedLogin(self, "Login", auth.pool) if auth.pool else None
        origins = [
            *self._connectable_origins(config),
            self._issuer(config),
            *([login.origin] if login else []),
            *(config.web_login_origins or "").split(","),
        ]
        self.files = PageFiles(self, "Page", config, files=files, connects_to=list(filter(None, origins)))
        self.client_id = login.client(self.files.url) if login else str(config.web_client_id)
        if login:
            self.files.upload.node.add_dependency(login)
        CfnOutput(self, "PageUrl", value=self.files.url)
        CfnOutput(self, "PageClientId", value=self.client_id)
        CfnOutput(self, "PageBucketName", value=self.files.bucket.bucket_name)
        CfnOutput(self, "DistributionId", value=self.files.distribution.distribution_id)

    def _connectable_origins(self, config: Config) -> list[str]:
        """The origins that the page may connect to; an API has no name yet, unless it is one of your own.

        With both, the load balancer's too: this stack comes before the one that tells the page to call the API instead.
        """
        api = [f"wss://{config.domain_name or f'*.execute-api.{self.region}.{self.url_suffix}'}"] if config.api else []
        return [*api, *([f"wss://{config.direct_domain_name}"] if config.direct else [])]

    def _issuer(self, config: Config) -> str:
        """The issuer's origin, which tells the page where to sign in."""
        if config.auth_issuer is None:
            return f"https://cognito-idp.{self.region}.{self.url_suffix}"
        address = urlsplit(config.auth_issuer)
        return f"{address.scheme}://{address.netloc}"
