"""All checks, side by side, within a time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from infra.config import Config
from infra.preflight import (
    bootstrap,
    domain,
    identity,
    images,
    models,
    network,
    quotas,
    replaced,
    roles,
    secret,
    traces,
)
from infra.preflight.account import Account, NotAllowedError, NotAnsweredError
from infra.preflight.findings import Finding, State

LIMIT_SECONDS: Final = 15.0
"""After it what has not answered is unknown. With Python's start the command takes less than 20 s."""

Work = Callable[[Account, Config], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """A question to the account.

    Attributes:
        name: Its group.
        subject: The thing it looks at, for a report in which it has no answer.
        work: Asks it; yields nothing where the settings do not need it.
    """

    name: str
    subject: str
    work: Work


FIRST: Final = Check("identity", "credentials", identity.caller)
"""Without an answer to it nothing else is asked."""

CHECKS: Final = (
    Check("identity", "region", identity.region),
    Check("bootstrap", "version", bootstrap.version),
    Check("bootstrap", "bucket of assets", bootstrap.bucket),
    Check("bootstrap", "deploy role", bootstrap.deploy_role),
    Check("bootstrap", "stacks", bootstrap.stacks),
    Check("image", "builder", images.builder),
    Check("image", "worker_image", images.worker_image),
    Check("image", "page", images.page),
    Check("roles", "AWSServiceRoleForECS", roles.containers),
    Check("roles", "AWSServiceRoleForApplicationAutoScaling_ECSService", roles.scaling),
    Check("roles", "AWSServiceRoleForAPIGateway", roles.domains),
    Check("roles", "AWSServiceRoleForElasticLoadBalancing", roles.balancers),
    Check("models", "voice model", models.voice),
    Check("models", "text model", models.text),
    Check("secret", secret.SUBJECT, secret.key),
    Check("quotas", "Lambda, environments at once", quotas.lambda_concurrency),
    Check("quotas", "Fargate, vCPUs", quotas.fargate),
    Check("quotas", "API Gateway, requests a second", quotas.api_requests),
    Check("quotas", "API Gateway, throttle of the stage", quotas.throttle),
    Check("quotas", "Bedrock, streams at once", quotas.model_streams),
    Check("quotas", "VPCs of the region", quotas.vpcs),
    Check("quotas", "Network Load Balancers of the region", quotas.balancers),
    Check("quotas", "targets of the load balancer", quotas.targets),
    Check("network", "ECS, dualStackIPv6", network.task_addresses),
    Check("network", "DNS", network.names),
    Check("network", "subnets", network.subnets),
    Check("network", "routes", network.routes),
    Check("domain", "certificate", domain.certificate),
    Check("domain", "hosted zone", domain.zone),
    Check("domain", "address record", domain.record),
    Check("traces", "Transaction Search", traces.transaction_search),
    Check("workers", replaced.SUBJECT, replaced.workers),
)


def examine(account: Account, config: Config, limit_seconds: float = LIMIT_SECONDS) -> list[Finding]:
    """Ask everything that the settings need, in the order of ``CHECKS``."""
    began = time.monotonic()
    identity = _findings_of(FIRST, account, config)
    if account.id is None:
        return identity
    answers: dict[int, list[Finding]] = {}

    def ask(index: int, check: Check) -> None:
        answers[index] = _findings_of(check, account, config)

    # Daemons: a question that hangs does not keep the command from ending.
    threads = [threading.Thread(target=ask, args=each, daemon=True) for each in enumerate(CHECKS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + limit_seconds - time.monotonic()))
    no_answer = f"no answer within {limit_seconds:g} s"
    return identity + [
        finding
        for index, check in enumerate(CHECKS)
        for finding in answers.get(index, [_unknown(check, no_answer, "run it again")])
    ]


def _findings_of(check: Check, account: Account, config: Config) -> list[Finding]:
    findings: list[Finding] = []
    try:
        findings.extend(check.work(account, config))
    except NotAllowedError as error:
        findings.append(_unknown(check, str(error), f"allow {error.action} to this caller, or look at it by hand"))
    except NotAnsweredError as error:
        findings.append(_unknown(check, str(error), "look at it by hand"))
    except (KeyError, IndexError, TypeError, ValueError) as error:  # an answer of an unexpected form is no answer
        findings.append(_unknown(check, f"an answer that is not understood: {error!r}", "report it"))
    return findings


def _unknown(check: Check, found: str, mend: str) -> Finding:
    return Finding(
        check=check.name, subject=check.subject, state=State.UNKNOWN, needed="an answer", found=found, mend=mend
    )
