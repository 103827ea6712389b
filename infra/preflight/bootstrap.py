"""The CDK's bootstrap (version, bucket, role), and stacks that an earlier try left half-made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from infra.config import Config
from infra.preflight.account import Account, NotAllowedError, NotAnsweredError, RefusedError
from infra.preflight.findings import Finding, State, judged

QUALIFIER: Final = "hnb659fds"
"""The CDK's own; a bootstrap with another is named in ``cdk.json`` (``@aws-cdk/core:bootstrapQualifier``)."""
LEAST_VERSION: Final = 6
"""The version that a synthesized stack asks for; a test compares it with a synthesis."""
TOOLKIT: Final = "CDKToolkit"
STUCK: Final = frozenset({"CREATE_FAILED", "DELETE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"})
"""States in which CloudFormation takes no update. The CDK deletes such a stack by itself, if it is not protected."""


def version(account: Account, _config: Config) -> Iterator[Finding]:
    """The bootstrap's version, from its parameter or, where that may not be read, its stack."""
    try:
        found_version = _parameter(account)
    except NotAllowedError:
        found_version = _output(account)
    yield judged(
        "bootstrap",
        "version",
        holds=found_version is not None and found_version >= LEAST_VERSION,
        needed=f"{LEAST_VERSION} or later",
        found="this account and region are not bootstrapped" if found_version is None else str(found_version),
        mend=f"npx cdk bootstrap aws://{account.id}/{account.region}",
    )


def bucket(account: Account, _config: Config) -> Iterator[Finding]:
    """The bucket that assets are uploaded to: a bootstrap whose bucket was deleted looks well until then."""
    name = f"cdk-{QUALIFIER}-assets-{account.id}-{account.region}"
    try:
        account.ask("s3", "HeadBucket", Bucket=name)
        found = name
    except RefusedError as error:
        if error.code not in {"404", "NoSuchBucket"}:
            raise
        found = "none"
    yield judged(
        "bootstrap",
        "bucket of assets",
        holds=found == name,
        needed=name,
        found=found,
        mend=f"aws cloudformation delete-stack --stack-name {TOOLKIT}; "
        f"then npx cdk bootstrap aws://{account.id}/{account.region}",
    )


def deploy_role(account: Account, _config: Config) -> Iterator[Finding]:
    """The role that the CDK deploys with, assumed for a moment: its credentials are not used."""
    name = f"cdk-{QUALIFIER}-deploy-role-{account.id}-{account.region}"
    arn = f"arn:{account.partition}:iam::{account.id}:role/{name}"
    answer, is_assumed = "may be assumed", True
    try:
        account.ask("sts", "AssumeRole", RoleArn=arn, RoleSessionName="segue-preflight", DurationSeconds=900)
    except NotAllowedError:
        answer, is_assumed = "is not there, or this caller may not assume it", False
    yield judged(
        "bootstrap",
        "deploy role",
        holds=is_assumed,
        needed=f"{name} may be assumed",
        found=answer,
        mend=f"allow sts:AssumeRole on arn:{account.partition}:iam::{account.id}:role/cdk-{QUALIFIER}-* to this "
        "caller (without it the CDK deploys with the caller's own permissions)",
        otherwise=State.SHORT,
        page="docs/pipeline.md",
    )


def stacks(account: Account, config: Config) -> Iterator[Finding]:
    """The deployment's own stacks: absent, or in a state that takes an update."""
    for part in ("Data", *(("Web",) if config.page else ()), "Service"):
        name = f"Segue-{config.stage}-{part}"
        stack = _stack(account, name) or {}
        stack_status = str(stack.get("StackStatus", "absent"))
        stack_option = f"--stack-name {name}"
        state, mend = State.WELL, None
        if stack_status in STUCK:
            protected = stack.get("EnableTerminationProtection", False)
            state = State.FAILS if protected else State.SHORT
            unprotect = (
                f"aws cloudformation update-termination-protection --no-enable-termination-protection {stack_option}; "
            )
            mend = (unprotect if protected else "") + f"aws cloudformation delete-stack {stack_option}"
        elif stack_status == "UPDATE_ROLLBACK_FAILED":
            state, mend = State.FAILS, f"aws cloudformation continue-update-rollback {stack_option}"
        elif stack_status.endswith("_IN_PROGRESS") and stack_status != "REVIEW_IN_PROGRESS":
            state, mend = State.FAILS, "wait until it has ended"
        yield Finding(
            check="bootstrap",
            subject=f"stack {name}",
            state=state,
            needed="absent, or in a state that takes an update",
            found=stack_status,
            mend=mend,
        )


def _parameter(account: Account) -> int | None:
    try:
        answer = account.ask("ssm", "GetParameter", Name=f"/cdk-bootstrap/{QUALIFIER}/version")
    except RefusedError as error:
        if error.code != "ParameterNotFound":
            raise
        return None
    return int(answer["Parameter"]["Value"])


def _output(account: Account) -> int | None:
    if _stack(account, TOOLKIT) is None:
        return None
    found = outputs(account, TOOLKIT)
    if "BootstrapVersion" not in found:
        raise NotAnsweredError(f"the stack {TOOLKIT} names no version")
    return int(found["BootstrapVersion"])


def outputs(account: Account, name: str) -> dict[str, str]:
    """A stack's outputs; none if there is no such stack."""
    stack = _stack(account, name) or {}
    return {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}


def status(account: Account, name: str) -> str:
    """The state of a stack; ``absent`` if there is none."""
    stack = _stack(account, name)
    return "absent" if stack is None else str(stack["StackStatus"])


def _stack(account: Account, name: str) -> dict[str, Any] | None:
    try:
        described: list[dict[str, Any]] = account.ask("cloudformation", "DescribeStacks", StackName=name)["Stacks"]
    except RefusedError as error:
        # CloudFormation has no error of its own for it.
        if error.code == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return described[0]
