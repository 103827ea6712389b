"""Clients of a deployment on a machine that has much else to do."""

from __future__ import annotations

from segue.client import ClientSettings

PATIENT = ClientSettings(ready_timeout=90.0, connect_timeout=60.0)
"""Limits for tests of what comes, not of how soon: the deployment, its workers and the tests share two cores."""
