"""Workers that the deployment would replace: the deployed stack's outputs beside what these settings and files make."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.config import Config
from infra.constants import ROOT
from infra.preflight import bootstrap
from infra.preflight.account import Account
from infra.preflight.findings import Finding, State

if TYPE_CHECKING:
    from infra.constructs.workers import Workers

SUBJECT = "workers will be replaced"


def workers(account: Account, config: Config) -> Iterator[Finding]:
    """The replacement of the workers, which hand over the conversations under way."""
    if not config.voice:
        return
    outputs = bootstrap.outputs(account, f"Segue-{config.stage}-Service")
    deployed = outputs.get("WorkerVersion")
    if deployed is None:
        found = "no: none run yet"
    else:
        from infra.worker_version import changed

        synthesized = synthesized_workers(config)
        reasons = changed(outputs.get("WorkerParts", ""), synthesized.parts)
        if synthesized.version == deployed and not reasons:
            found = f"no: they run {deployed} already"
        else:
            found = f"yes, changed: {', '.join(reasons) or 'version'} ({deployed} → {synthesized.version})"
    yield Finding(
        check="workers",
        subject=SUBJECT,
        state=State.WELL,
        needed="nothing: conversations under way are handed over (`npx cdk diff` shows what changes)",
        found=found,
        page="docs/operations.md",
    )


def synthesized_workers(config: Config) -> Workers:
    """The workers as a synthesis makes them, without the rest of the deployment."""
    # The CDK takes seconds to start, and only a stack that is there needs it.
    from aws_cdk import App, Stack
    from aws_cdk import aws_apigatewayv2 as apigateway

    from infra.constructs.claims import Claims
    from infra.constructs.network import Network
    from infra.constructs.storage import Storage
    from infra.constructs.workers import WorkerParts, Workers

    flags = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(App(context=flags, outdir=folder), "Compared")
        stage = apigateway.WebSocketStage(
            stack, "Stage", web_socket_api=apigateway.WebSocketApi(stack, "Api"), stage_name=config.stage
        )
        parts = WorkerParts(
            storage=Storage(stack, "Storage", config),
            claims=Claims(stack, "Claims").queue,
            network=Network(stack, "Network", config),
            stage=stage,
        )
        return Workers(stack, "Workers", config, parts)
