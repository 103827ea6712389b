"""Clients of a deployment on a machine that has much else to do."""

from __future__ import annotations

from segue.client import ClientSettings

PATIENT = ClientSettings(ready_timeout=90.0, connect_timeout=60.0)
"""What is tested is what comes, not how soon: the deployment, its workers and the tests share two cores."""
