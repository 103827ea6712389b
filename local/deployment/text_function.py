"""The deployed text function: its code, replaced without a deployment of its stack, and its log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from local.deployment.outputs import client
from local.errors import LocalError
from local.settings import STAGE

STACK = f"Segue-{STAGE}-Service"
HANDLER = "turn.handler.handler"
UPDATED_SECONDS = 60


def replace_code(endpoint: str, code: bytes) -> None:
    """Give the text function other code; aliases that it has move to it. Does blocking I/O.

    Args:
        endpoint: URL of the emulator.
        code: A zip file.

    Raises:
        LocalError: There is no text function, or it did not take the code.
    """
    functions = client("lambda", endpoint)
    name = _function(endpoint, functions)
    functions.update_function_code(FunctionName=name, ZipFile=code)
    functions.get_waiter("function_updated").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    aliases = functions.list_aliases(FunctionName=name).get("Aliases", [])
    if aliases:
        version = functions.publish_version(FunctionName=name)["Version"]
        for alias in aliases:
            functions.update_alias(FunctionName=name, Name=alias["Name"], FunctionVersion=version)


def log_events(endpoint: str) -> Callable[[int], Sequence[Mapping[str, Any]]]:
    """Return what reads the function's log group from a time on, in milliseconds since 1970. Does blocking I/O.

    Raises:
        LocalError: There is no text function.
    """
    functions, logs = client("lambda", endpoint), client("logs", endpoint)
    name = _function(endpoint, functions)
    configuration = functions.get_function_configuration(FunctionName=name)
    group = configuration.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{name}"

    def events(since: int) -> Sequence[Mapping[str, Any]]:
        try:
            found: Sequence[Mapping[str, Any]] = logs.filter_log_events(logGroupName=group, startTime=since)["events"]
        except logs.exceptions.ResourceNotFoundException:  # nothing was logged yet
            return ()
        return found

    return events


def _function(endpoint: str, functions: Any) -> str:
    """Find the function among the stack's by its handler: its name has a random part."""
    pages = client("cloudformation", endpoint).get_paginator("list_stack_resources").paginate(StackName=STACK)
    for page in pages:
        for resource in page["StackResourceSummaries"]:
            if resource["ResourceType"] != "AWS::Lambda::Function":
                continue
            name: str = resource["PhysicalResourceId"]
            if functions.get_function_configuration(FunctionName=name)["Handler"] == HANDLER:
                return name
    whole = ".venv/bin/python -m local redeploy --all"
    msg = f"stack {STACK} has no function with the handler {HANDLER}: deploy it whole ({whole})."
    raise LocalError(msg)
