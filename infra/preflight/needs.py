"""The account's quotas that a deployment uses at its most: all workers running, each with all of its sessions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from infra.config import FRAMES_PER_SESSION, REQUESTS_PER_ENVIRONMENT, ROLLING, Config

CALLBACKS_PER_FRAME: Final = 1
"""Messages to clients for each frame of a client; they count toward the same quota of API Gateway (docs/scale.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Quotas in their own units.

    Attributes:
        sessions: Voice sessions at once, and so streams of the model.
        frames: Frames a second from all clients of the API.
        requests: Requests a second of API Gateway, frames and messages to clients.
        environments: Environments of the message function at once.
        targets: Targets of the load balancer during a deployment at the busiest time.
        vcpus: vCPUs of Fargate on demand during a deployment at the busiest time.
        first_vcpus: The same for the first deployment and every other at a quiet time.
        spot_vcpus: vCPUs of Fargate Spot during a deployment at the busiest time.
    """

    sessions: int
    frames: int
    requests: int
    environments: int
    targets: int
    vcpus: float
    first_vcpus: float
    spot_vcpus: float


def needs(config: Config) -> Needs:
    """The needs of a deployment at its most."""
    tasks = config.worker_maximum if config.voice else 0
    sessions = config.worker_maximum * config.worker_capacity if config.voice else 0
    frames = (config.expected_frame_rate or sessions * FRAMES_PER_SESSION) if config.api else 0
    task_vcpus, spot_share = config.worker_cpu / 1024, config.worker_spot_percent / 100
    vcpus_at_most = ROLLING * config.worker_maximum * task_vcpus if config.voice else 0.0
    vcpus_at_first = ROLLING * config.worker_count * task_vcpus if config.voice else 0.0
    return Needs(
        sessions=sessions,
        frames=frames,
        requests=frames * (1 + CALLBACKS_PER_FRAME),
        environments=max(math.ceil(frames / REQUESTS_PER_ENVIRONMENT), config.provisioned_concurrency),
        targets=ROLLING * tasks if config.direct else 0,
        vcpus=vcpus_at_most * (1 - spot_share),
        first_vcpus=vcpus_at_first * (1 - spot_share),
        spot_vcpus=vcpus_at_most * spot_share,
    )
