"""The address at which a service answers in a region."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

SUFFIXES: Final = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
"""Domains of the partitions that are not ``amazonaws.com``, by how their regions' names begin."""


def endpoint(service: str, region: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the service's address, without a slash at its end.

    Args:
        service: As in its host name, such as ``dynamodb``.
        region: The region.
        environ: May name another address, as for botocore: ``AWS_ENDPOINT_URL_<SERVICE>``, or ``AWS_ENDPOINT_URL``.
    """
    named = environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environ.get("AWS_ENDPOINT_URL")
    if named:
        return named.rstrip("/")
    suffix = next((suffix for start, suffix in SUFFIXES.items() if region.startswith(start)), "amazonaws.com")
    return f"https://{service}.{region}.{suffix}"
