"""API Gateway's management API, by which a deployment's own processes write to its clients."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

FORBIDDEN: Final = (
    "configuration error: API Gateway's @connections is forbidden to this process. Either an interface endpoint for "
    "execute-api with private DNS is in its VPC: it leads to private APIs only, so turn its private DNS off or remove "
    "it. Or its role lacks execute-api:ManageConnections. See docs/deploy.md, 'A VPC of your own'"
)
"""A POST was answered with 403."""


def management_url(endpoint: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the management endpoint as a whole URL, without ``/@connections``.

    Args:
        endpoint: The endpoint, or a path on AWS_ENDPOINT_URL: the emulator's address is not known when the stack is
            made.
        environ: The process's environment.
    """
    if endpoint.startswith("/"):
        return environ["AWS_ENDPOINT_URL"].rstrip("/") + endpoint
    return endpoint.rstrip("/")


def connection_url(management: str, connection_id: str) -> str:
    """Return a connection's address. Ids end in "=", which a signature covers in its encoded form.

    Args:
        management: What ``management_url`` returned.
        connection_id: API Gateway's id of the connection.
    """
    return f"{management}/@connections/{quote(connection_id, safe='-._~')}"
