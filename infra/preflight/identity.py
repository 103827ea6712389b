"""Credentials and region: all other checks stand on them."""

from __future__ import annotations

from collections.abc import Iterator

from infra.config import Config
from infra.preflight.account import DEFAULT_REGION, Account, NoCredentials, NotAnsweredError
from infra.preflight.findings import Finding, State, judged


def caller(account: Account, _config: Config) -> Iterator[Finding]:
    """The principal that asks and would deploy; notes the account's number."""
    needed = "valid credentials of a role or user"
    try:
        answer = account.ask("sts", "GetCallerIdentity")
    except NotAnsweredError as error:  # fails and is not unknown: nothing else can be asked
        mend = "look at the network, and at proxies and endpoints that the environment names"
        if isinstance(error, NoCredentials):
            mend = "aws sso login (or aws configure, or export AWS_PROFILE=…)"
        yield Finding(
            check="identity", subject="credentials", state=State.FAILS, needed=needed, found=str(error), mend=mend
        )
        return
    account.id = answer["Account"]
    yield judged(
        "identity",
        "credentials",
        holds=not answer["Arn"].endswith(":root"),
        needed=needed,
        found=answer["Arn"],
        mend="sign in as a role: the root user cannot assume the roles that the CDK deploys with",
        otherwise=State.SHORT,
    )


def region(account: Account, _config: Config) -> Iterator[Finding]:
    """The region that the CDK would deploy to."""
    yield judged(
        "identity",
        "region",
        holds=account.region_given,
        needed="named by the setting `region`, AWS_REGION or the profile",
        found=account.region if account.region_given else f"none; the CDK takes {DEFAULT_REGION}",
        mend=f"export AWS_REGION={account.region}",
        otherwise=State.SHORT,
    )
