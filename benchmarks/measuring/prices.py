"""Prices of the requests on AWS.

Commonly quoted list prices of us-east-1 (S3 Standard; DynamoDB on demand, standard table class). They were not
compared with AWS's own price pages, which could not be reached when this was written: look there before relying
on a figure. Deletions are taken as free, and so is writing bytes to S3 from within the region; storage, logs and
data transfer are left out.
"""

from __future__ import annotations

from benchmarks.measuring.metering import Traffic

S3_WRITE = 0.005 / 1000  # PUT, COPY, POST, LIST
S3_READ = 0.0004 / 1000  # GET, HEAD
DYNAMODB_WRITE_UNIT = 0.625 / 1e6
DYNAMODB_READ_UNIT = 0.125 / 1e6

PAGE = "scale.md"
"""The page of the documentation that says where the prices are from, for readers of the tables beside it."""


def dollars(traffic: Traffic) -> float:
    """Return what some traffic costs in US dollars."""
    return (
        traffic.count("s3.PutObject", "s3.ListObjectsV2") * S3_WRITE
        + traffic.count("s3.GetObject", "s3.HeadObject") * S3_READ
        + traffic.write_units * DYNAMODB_WRITE_UNIT
        + traffic.read_units * DYNAMODB_READ_UNIT
    )
