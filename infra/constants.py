"""Facts about this repository and its runtime that are no one's to configure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
FUNCTIONS: Final = ROOT / "functions"
SESSION_LAYER: Final = ROOT / "layers" / "session"
LAYER_LOCK: Final = ROOT / "requirements" / "layer.txt"
AUTHORIZER_LOCK: Final = ROOT / "requirements" / "authorizer.txt"
TURN_LOCK: Final = ROOT / "requirements" / "turn.txt"
WEB_PAGE: Final = ROOT / "web" / "page" / "dist"
"""Folder that ``make web`` writes."""
WORKER_DOCKERFILE: Final = "functions/worker/Dockerfile"

ECR_IMAGE: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<name>[a-z0-9._/-]+)(?:[:@](?P<version>[A-Za-z0-9._:-]+))?"
)
"""An image in a private registry of AWS: tasks need a right to fetch it."""

PYTHON_VERSION: Final = "3.13"
WORKER_PORT: Final = 8080
WORKER_SOCKETS_PORT: Final = 8443
"""Port of a worker's direct sockets: plain TCP, behind the load balancer's TLS."""
AVAILABILITY_ZONES: Final = 2
"""Of a VPC that is made here."""
STOP_SECONDS: Final = 120
"""From SIGTERM to a worker's SIGKILL; the most that Fargate allows. Sessions are handed off within 90 of them."""
DEREGISTRATION_SECONDS: Final = 5
"""Of a worker behind the load balancer. ECS sends SIGTERM after it, and the worker then has its two minutes to move its
clients. Nothing is ended at its end: connections to a deregistered target stay as they are."""
TURN_SECONDS: Final = 120
"""Limit of the text function: several calls of a model and of tools. What takes longer goes on in another one."""
SESSION_PREFIX: Final = "sessions/"
"""Prefix of all sessions in the bucket."""

METRIC_NAMESPACE: Final = "Segue"
ACTIVE_SESSIONS: Final = "ActiveSessions"
"""The metric by which the service grows: each worker says once a minute how many sessions it holds, so that the average
is sessions a task."""
METRIC_DIMENSIONS: Final = ("service", "stage")
"""Of everything that workers and functions say; the first is POWERTOOLS_SERVICE_NAME, the second the deployment's."""
WORKER_METRIC_SERVICE: Final = "segue-worker"
GATEWAY_METRIC_SERVICE: Final = "segue-gateway"
TURN_METRIC_SERVICE: Final = "segue-turn"
JANITOR_METRIC_SERVICE: Final = "segue-janitor"

DOCS: Final = "docs"
"""Folder of runbooks that alarm descriptions link to, seen from the repository's root; ``docs_url`` overrides it."""
