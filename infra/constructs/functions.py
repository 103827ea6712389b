"""A Lambda function of this repository: one package of ``functions/``, both layers, its own log group and role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aws_cdk import Duration, IgnoreMode
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.config import Config
from infra.constants import FUNCTIONS
from infra.constructs.layers import RUNTIME, Layers, architecture
from infra.constructs.log_groups import log_group

MEMORY_MB: Final = 512
"""Lambda gives CPU by memory; below this the SDK's import makes a cold start of seconds."""


def function_excludes(*packages: str) -> list[str]:
    """Folders of ``functions/`` that a function leaves out: all but ``shared``, its own and those that it imports."""
    return ["/*", *(f"!/{package}" for package in ("shared", *packages)), "__pycache__/", "Dockerfile*"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One handler.

    Attributes:
        package: Under ``functions/``.
        name: Of its resources and log group, and of the module in it whose ``handler`` is called.
        timeout: What one invocation may take.
        environment: Variables beside the stage, the service's name and the log level.
        imports: Packages under ``functions/`` that it imports, beside ``shared``.
        versions: The layers that it takes; None: those of all functions.
        memory_mb: Memory, and with it CPU.
        module: The module, if it is not called as the resources are.
    """

    package: str
    name: str
    timeout: Duration
    environment: dict[str, str]
    imports: tuple[str, ...] = ()
    versions: Sequence[lambda_.ILayerVersion] | None = None
    memory_mb: int = MEMORY_MB
    module: str | None = None


def python_function(scope: Construct, config: Config, layers: Layers, entry: Entry, **more: Any) -> lambda_.Function:
    """Add a function that may write its log and nothing else.

    Args:
        scope: Where it is added, as ``<Name>``, ``<Name>Role`` and ``<Name>Logs``.
        config: The deployment.
        layers: What it imports.
        entry: Which handler.
        more: Further properties of ``aws_lambda.Function``.
    """
    title = entry.name.capitalize()
    group = log_group(scope, f"{title}Logs", config, f"{entry.package}/{entry.name}")
    role = iam.Role(scope, f"{title}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    group.grant(role, "logs:CreateLogStream", "logs:PutLogEvents")
    return lambda_.Function(
        scope,
        title,
        description=f"Segue {entry.package}: {entry.name}",
        code=lambda_.Code.from_asset(
            str(FUNCTIONS), exclude=function_excludes(entry.package, *entry.imports), ignore_mode=IgnoreMode.GIT
        ),
        handler=f"{entry.package}.{entry.module or entry.name}.handler",
        runtime=RUNTIME,
        architecture=architecture(config),
        memory_size=entry.memory_mb,
        timeout=entry.timeout,
        layers=layers.versions if entry.versions is None else entry.versions,
        environment={
            "SEGUE_STAGE": config.stage,
            "POWERTOOLS_SERVICE_NAME": f"segue-{entry.package}",
            "LOG_LEVEL": config.log_level,
            **entry.environment,
        },
        role=role,
        log_group=group,
        # START, END and REPORT of every frame would cost a tenth of a voice hour. What goes wrong is still told.
        logging_format=lambda_.LoggingFormat.JSON,
        system_log_level_v2=lambda_.SystemLogLevel.WARN,
        # Lines without a level count as INFO here, and metrics are such lines. The logger itself heeds LOG_LEVEL.
        application_log_level_v2=lambda_.ApplicationLogLevel.DEBUG
        if config.log_level == "DEBUG"
        else lambda_.ApplicationLogLevel.INFO,
        # Lambda says how many (see `infra.constructs.tracing`).
        tracing=lambda_.Tracing.ACTIVE if config.trace_sampling_percent else None,
        **more,
    )


def live(function: lambda_.Function, config: Config, *, kept_warm: int = 0) -> lambda_.Function | lambda_.Alias:
    """The alias ``live`` of a function, through which it is called; where there are no versions, the function itself.

    A deployment changes the function first, whose newest code nothing calls, and moves the alias last (RFC 0021).

    Args:
        function: The function.
        config: The deployment.
        kept_warm: Environments that are started before the first call.
    """
    if not config.target.versions:
        return function
    return lambda_.Alias(
        function,
        "Live",
        alias_name="live",
        version=function.current_version,
        provisioned_concurrent_executions=kept_warm or None,
    )
