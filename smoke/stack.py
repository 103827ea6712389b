"""The deployment's resources, for those who have AWS credentials: a redeployment, and cleaning up."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shlex
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from segue.ids import principal_of

POLL_SECONDS: Final = 5.0
RELEASED_POLL_SECONDS: Final = 1.0
DEPLOYED_SECONDS: Final = 900.0
DELETE_SECONDS: Final = 240.0
"""A voice worker keeps a session for a while after its last client (``worker_linger_seconds``)."""


class Stack:
    """Both stacks of a deployment.

    Attributes:
        outputs: Of both.
    """

    def __init__(
        self,
        outputs: Mapping[str, str],
        *,
        client: Callable[[str], Any] | None = None,
        poll_seconds: float = POLL_SECONDS,
        deployed_seconds: float = DEPLOYED_SECONDS,
        released_poll_seconds: float = RELEASED_POLL_SECONDS,
        delete_seconds: float = DELETE_SECONDS,
    ) -> None:
        """Keep what is known.

        Args:
            outputs: Of both stacks.
            client: Makes a client of an AWS service.
            poll_seconds: Between two looks at a deployment.
            deployed_seconds: For a deployment.
            released_poll_seconds: Between two looks at a session that is held.
            delete_seconds: For a session to be released.
        """
        self.outputs = dict(outputs)
        self._client = client or _client
        self._poll_seconds = poll_seconds
        self._deployed_seconds = deployed_seconds
        self._released_poll_seconds = released_poll_seconds
        self._delete_seconds = delete_seconds

    async def redeploy(self) -> None:
        """Replace all worker tasks by new ones of the same task definition, and wait until that is over.

        Raises:
            TimeoutError: It is not over in time.
            OSError: ECS has rolled it back, or there are no workers.
        """
        if "WorkerServiceName" not in self.outputs:
            raise OSError("the deployment has no workers to replace (workers=text)")
        ecs = self._client("ecs")
        service = {"cluster": self.outputs["ClusterName"], "service": self.outputs["WorkerServiceName"]}
        await asyncio.to_thread(ecs.update_service, **service, forceNewDeployment=True)
        deadline = time.monotonic() + self._deployed_seconds
        while time.monotonic() < deadline:
            await asyncio.sleep(self._poll_seconds)
            described = await asyncio.to_thread(
                ecs.describe_services, cluster=service["cluster"], services=[service["service"]]
            )
            newest = described["services"][0]["deployments"][0]
            if newest.get("rolloutState") == "FAILED":
                raise OSError(f"the deployment failed: {newest.get('rolloutStateReason', '')}")
            if newest.get("rolloutState") == "COMPLETED":
                return
        raise TimeoutError(f"the deployment is not over after {self._deployed_seconds:g} s")

    async def delete(self, principal: str, session: str) -> str:
        """Delete a session, when its holder has released it; return what became of it.

        Raises:
            OSError: It could not be deleted.
        """
        from segue.admin import Sessions  # with boto3, as ``_client``
        from segue.errors import SegueError, SessionHeld

        sessions = Sessions.s3(self.outputs["BucketName"], self.outputs["LockTableName"], principal=principal)
        deadline = time.monotonic() + self._delete_seconds
        while True:
            try:
                objects = await asyncio.to_thread(sessions.delete, session)
            except SessionHeld as held:
                if time.monotonic() > deadline:
                    raise OSError(str(held)) from held
            except SegueError as error:
                raise OSError(str(error)) from error
            else:
                return f"{principal}/{session} is deleted, {objects} objects of it"
            await asyncio.sleep(self._released_poll_seconds)


async def find(name: str) -> Stack:
    """Read the outputs of a deployment's stacks.

    Args:
        name: The stacks' name without its end, such as ``Segue-dev``.

    Raises:
        OSError: There are no credentials, no region or no such stacks.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    # CDK and AWS CLI read AWS_REGION, boto3 only AWS_DEFAULT_REGION; child processes inherit both.
    if region := os.environ.get("AWS_REGION"):
        os.environ["AWS_DEFAULT_REGION"] = region
    outputs: dict[str, str] = {}
    try:
        cloudformation = _client("cloudformation")
        for part in ("Data", "Service"):
            description = await asyncio.to_thread(cloudformation.describe_stacks, StackName=f"{name}-{part}")
            outputs |= {each["OutputKey"]: each["OutputValue"] for each in description["Stacks"][0].get("Outputs", [])}
    except (BotoCoreError, ClientError) as error:
        raise OSError(
            f"{error} (needed: credentials and AWS_REGION of the deployment, stacks {name}-Data and {name}-Service)"
        ) from None
    return Stack(outputs)


def delete_command(principal: str, session: str, outputs: Mapping[str, str]) -> list[str]:
    """The command that deletes a session, as a module and its arguments."""
    return [
        "-m",
        "segue.cli",
        "sessions",
        "delete",
        f"{principal}/{session}",
        "--yes",
        "--bucket",
        outputs.get("BucketName", "BUCKET"),
        "--lock-table",
        outputs.get("LockTableName", "LOCK_TABLE"),
    ]


def command_line(command: list[str]) -> str:
    """The command for people."""
    return shlex.join([".venv/bin/python", *command])


def principal(token: str) -> str:
    """The principal of a token, or ``PRINCIPAL`` if the token does not say it."""
    try:
        content = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
        return principal_of(claims["iss"], claims["sub"])
    except (IndexError, KeyError, TypeError, ValueError):
        return "PRINCIPAL"


def _client(service: str) -> Any:
    import boto3  # a second that a visit without credentials need not wait for

    return boto3.client(service)  # type: ignore[call-overload]  # any service
