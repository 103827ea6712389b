"""Storage of a test's sessions, in moto or in the emulator."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import Any

REGION = "us-east-1"

AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Credentials that are valid nowhere."""


@dataclass(frozen=True)
class Stage:
    """A bucket and a lock table, and where they are.

    Attributes:
        bucket: The bucket's name.
        lock_table: The lock table's name.
        endpoint_url: The emulator's endpoint, None for moto.
    """

    bucket: str
    lock_table: str
    endpoint_url: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of a session manager that name them."""
        names = {"bucket": self.bucket, "lock_table": self.lock_table}
        return names if self.endpoint_url is None else {**names, "endpoint_url": self.endpoint_url}


def provisioned(endpoint_url: str | None) -> Stage:
    """Make a bucket and a lock table that no other test uses."""
    from segue.testing import provision  # boto3: half a second that only these tests pay

    name = secrets.token_hex(6)
    stage = Stage(f"segue-{name}", f"locks-{name}", endpoint_url)
    provision(stage.bucket, stage.lock_table, endpoint_url, REGION)
    return stage
