"""Sampled tracing: who may write traces, and what the tracing libraries are told.

Functions are traced by Lambda itself, at a rate that cannot be configured
(https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html): no sampling rule would change it. Workers have
OpenTelemetry's own variables (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/), which
``worker.telemetry.tracing`` reads: what comes with a trace in its frame is sampled as its beginning was, the rest by
the ratio.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

from infra.config import Config

TRACE_ACTIONS: Final = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
"""They take no resource."""


def trace_environment(config: Config) -> dict[str, str]:
    """OpenTelemetry's variables of a worker; empty if nothing is traced."""
    if not config.trace_sampling_percent:
        return {}
    return {
        "OTEL_SERVICE_NAME": "segue-worker",
        "OTEL_PROPAGATORS": "tracecontext",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(config.trace_sampling_percent / 100),
        # CloudWatch takes OTLP itself, in signed requests, so that no collector has to run beside a worker.
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": config.trace_endpoint
        or f"https://xray.{Aws.REGION}.{Aws.URL_SUFFIX}/v1/traces",
    }


def allow_traces(grantee: iam.IGrantable, config: Config) -> None:
    """Let a worker write traces, if there are any, and they go to AWS."""
    if config.trace_sampling_percent and not config.trace_endpoint:
        grantee.grant_principal.add_to_principal_policy(iam.PolicyStatement(actions=TRACE_ACTIONS, resources=["*"]))
