"""Service-linked roles: AWS makes them at the first use, and the first use does not wait for them."""

from __future__ import annotations

from collections.abc import Iterator

from infra.config import Config
from infra.preflight.account import Account, RefusedError
from infra.preflight.findings import Finding, State, judged


def containers(account: Account, config: Config) -> Iterator[Finding]:
    """ECS's role: a service that is made in the same minute as the first cluster fails without it."""
    if config.voice:
        yield _role(account, "AWSServiceRoleForECS", "ecs.amazonaws.com", State.FAILS)


def scaling(account: Account, config: Config) -> Iterator[Finding]:
    """Application Auto Scaling's role for ECS, made when the service's scaling is registered."""
    if config.voice:
        name = "AWSServiceRoleForApplicationAutoScaling_ECSService"
        yield _role(account, name, "ecs.application-autoscaling.amazonaws.com", State.SHORT)


def domains(account: Account, config: Config) -> Iterator[Finding]:
    """API Gateway's role, made with the first domain name."""
    if config.domain_name:
        yield _role(account, "AWSServiceRoleForAPIGateway", "ops.apigateway.amazonaws.com", State.SHORT)


def balancers(account: Account, config: Config) -> Iterator[Finding]:
    """Elastic Load Balancing's role, made with the first load balancer."""
    if config.direct:
        name = "AWSServiceRoleForElasticLoadBalancing"
        yield _role(account, name, "elasticloadbalancing.amazonaws.com", State.SHORT)


def _role(account: Account, name: str, service: str, missing: State) -> Finding:
    try:
        account.ask("iam", "GetRole", RoleName=name)
        found = "is there"
    except RefusedError as error:
        if error.code != "NoSuchEntity":
            raise
        found = "is not there" if missing is State.FAILS else "is not there; AWS makes it at the first use"
    return judged(
        "roles",
        name,
        holds=found == "is there",
        needed="is there before the deployment",
        found=found,
        mend=f"aws iam create-service-linked-role --aws-service-name {service}",
        otherwise=missing,
    )
