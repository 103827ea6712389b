"""The direct transport of a worker: the variables that configure it, and what its role may do for it."""

from __future__ import annotations

from aws_cdk import aws_iam as iam

from infra.config import Config
from infra.constants import WORKER_SOCKETS_PORT
from infra.constructs.auth import Auth
from infra.constructs.direct.keys import Keys


class WorkerTransport:
    """Connections that workers take themselves: whose tokens let a caller in, from which websites, and how many.

    Attributes:
        variables: Of the workers' container.
    """

    def __init__(
        self, config: Config, auth: Auth, *, keys: Keys | None, page_url: str | None, page_client_id: str | None
    ) -> None:
        """Describe the transport.

        Args:
            config: The deployment.
            auth: The issuer, as for the authorizer.
            keys: The function that fetches its keys; None: workers fetch them.
            page_url: Address of the page to talk on; None: there is none.
            page_client_id: The page's audience.
        """
        self._keys = keys
        self.variables = {
            "SEGUE_TRANSPORT": config.transport,
            "SEGUE_DIRECT_PORT": str(WORKER_SOCKETS_PORT),
            "SEGUE_DIRECT_SOCKETS": str(config.sockets),
            "SEGUE_DIRECT_ORIGINS": ",".join(filter(None, [page_url, config.direct_origins])),
            "SEGUE_TOKEN_ISSUER": auth.issuer,
            "SEGUE_TOKEN_AUDIENCE": auth.audiences(page_client_id),
            "SEGUE_TOKEN_KEYS_URL": keys.url if keys else auth.keys_url,
            **(keys.environment if keys else {}),
        }

    def allow(self, role: iam.IRole) -> None:
        """Let the workers' role do what the transport needs beside what a worker may anyway."""
        if self._keys:
            self._keys.allow(role)
