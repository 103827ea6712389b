"""Sampled tracing: how many conversations, who may write traces, and what the tracing libraries are told.

Functions are traced by Lambda itself, which follows the sampling rule. Workers have OpenTelemetry's own variables
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/), which `worker.tracing` reads: what
comes with a trace in its frame is sampled as its beginning was, the rest by the ratio.
"""

from typing import Final

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_xray as xray
from constructs import Construct

from infra.config import Config

TRACE_ACTIONS: Final = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
"""They take no resource."""


class SamplingRule(Construct):
    """What X-Ray samples of the functions of one deployment."""

    def __init__(self, scope: Construct, construct_id: str, config: Config) -> None:
        super().__init__(scope, construct_id)
        xray.CfnSamplingRule(
            self,
            "Rule",
            sampling_rule=xray.CfnSamplingRule.SamplingRuleProperty(
                rule_name=f"segue-{config.stage}",
                version=1,
                priority=1000,
                fixed_rate=config.trace_sampling_percent / 100,
                # At least one a second, so that a quiet deployment is not without traces.
                reservoir_size=1,
                host="*",
                http_method="*",
                resource_arn="*",
                service_name=f"Segue-{config.stage}-*",
                service_type="*",
                url_path="*",
            ),
        )


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
