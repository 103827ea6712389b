"""Reads boto3's service models; imported last by a server that forks processes, which then need not read them.

What is there by then is left out of collections of garbage: each process would look through it, and copy its pages.
"""

from __future__ import annotations

import gc

import boto3

from tests.support.service_models import share
from tests.support.stage import AWS_ENVIRONMENT, REGION

SERVICES = ("dynamodb", "s3", "sqs")

KEYS = [AWS_ENVIRONMENT[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]

share()
for service in SERVICES:
    boto3.Session(*KEYS, region_name=REGION).client(service)  # type: ignore[call-overload]  # any of them

gc.collect()
gc.freeze()
