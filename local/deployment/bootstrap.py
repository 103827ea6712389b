"""The emulator's account, bootstrapped: the CDK's own template, created as a stack.

``cdk bootstrap`` does the same in ten times the processor time. Does blocking I/O.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.deployment.outputs import client
from local.errors import LocalError

STACK = "CDKToolkit"
TEMPLATE = Path("node_modules", "aws-cdk", "lib", "api", "bootstrap", "bootstrap-template.yaml")
"""The locked CDK's, from the root of the checkout."""

PARAMETERS = {
    "CloudFormationExecutionPolicies": "arn:aws:iam::aws:policy/AdministratorAccess",
    "FileAssetsBucketKmsKeyId": "AWS_MANAGED_KEY",
}
"""Values that ``cdk bootstrap`` sets by itself."""

VERSION = re.compile(r"^  BootstrapVersion:\n(?:    .*\n)*    Value: '(\d+)'", re.MULTILINE)
"""The version of a template: one of its outputs."""

POLL_SECONDS, POLLS = 0.1, 600


def bootstrap(endpoint: str, root: Path) -> None:
    """Bootstrap the account, unless the emulator has kept one of this version.

    Args:
        endpoint: URL of the emulator.
        root: Root of the checkout.

    Raises:
        LocalError: The stack cannot be created, or the emulator does not answer.
    """
    template = (root / TEMPLATE).read_text(encoding="utf-8")
    stacks, wanted_version = client("cloudformation", endpoint), version_of(template)
    try:
        if (present_version := _version(stacks)) == wanted_version:
            return
        change, waiter = (
            (stacks.create_stack, "stack_create_complete")
            if present_version is None
            else (stacks.update_stack, "stack_update_complete")
        )
        change(
            StackName=STACK,
            TemplateBody=template,
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in PARAMETERS.items()],
        )
        stacks.get_waiter(waiter).wait(StackName=STACK, WaiterConfig={"Delay": POLL_SECONDS, "MaxAttempts": POLLS})
    except (ClientError, BotoCoreError) as error:
        msg = f"stack {STACK}, of the CDK's bootstrap, cannot be made: {error}"
        raise LocalError(msg) from error


def version_of(template: str) -> str:
    """Return the version of a bootstrap template.

    Raises:
        LocalError: It has none: it is not the template that was expected.
    """
    match = VERSION.search(template)
    if match is None:
        msg = f"{TEMPLATE} has no output BootstrapVersion: run `make setup`."
        raise LocalError(msg)
    return match[1]


def _version(stacks: Any) -> str | None:
    """Return the version of the stack; None if there is no stack, and empty if it is not complete."""
    try:
        stack = stacks.describe_stacks(StackName=STACK)["Stacks"][0]
    except ClientError:
        return None
    outputs: dict[str, str] = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
    return outputs.get("BootstrapVersion", "")
