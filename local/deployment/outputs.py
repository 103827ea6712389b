"""The deployment as this machine reaches it: stack outputs and the worker's task definition, read from the emulator.

The outputs name hosts of AWS. Everything that has an address gets the emulator's here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from local.errors import LocalError
from local.processes.children import AWS_ENVIRONMENT
from local.settings import REGION

if TYPE_CHECKING:
    from botocore.client import BaseClient

REQUIRED_OUTPUTS = (
    "ApiId",
    "StageName",
    "BucketName",
    "LockTableName",
    "ConnectionsTableName",
    "ClaimsQueueUrl",
    "WorkerServiceName",
    "ClusterName",
)

TTL_ATTRIBUTE = "expires_at"


def client(service: str, endpoint: str) -> Any:
    """Return a boto3 client of the emulator, whatever AWS settings the caller has."""
    import boto3  # takes 0.2 s, which `--help` need not wait for
    from botocore.config import Config

    aws_client: BaseClient = boto3.session.Session().client(  # type: ignore[call-overload]
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=AWS_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=AWS_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 2}, s3={"addressing_style": "path"}),
    )
    return aws_client


@dataclass(frozen=True)
class Deployment:
    """One deployment of the stacks.

    Attributes:
        endpoint: URL of the emulator.
        outputs: Outputs of all stacks.
        worker_environment: Environment of the worker's container in the task definition that the service runs.
        version: What SEGUE_WORKER_VERSION is there; a later deployment's sorts after an earlier one's.
    """

    endpoint: str
    outputs: Mapping[str, str]
    worker_environment: Mapping[str, str] = field(repr=False)

    @property
    def version(self) -> str:
        """The deployment's version."""
        return self.worker_environment.get("SEGUE_WORKER_VERSION", "")

    @property
    def _api_path(self) -> str:
        return f"_aws/execute-api/{self.outputs['ApiId']}/{self.outputs['StageName']}"

    @property
    def websocket_url(self) -> str:
        """Address that clients connect to."""
        return f"ws://{urlsplit(self.endpoint).netloc}/{self._api_path}"

    @property
    def management_endpoint(self) -> str:
        """Address that workers post to for connections."""
        return f"{self.endpoint}/{self._api_path}"

    def facts(self) -> dict[str, str]:
        """Return what a person or a script wants to know."""
        outputs = self.outputs
        return {
            "websocket_url": self.websocket_url,
            "endpoint_url": self.endpoint,
            "management_endpoint": self.management_endpoint,
            "bucket": outputs["BucketName"],
            "lock_table": outputs["LockTableName"],
            "connections_table": outputs["ConnectionsTableName"],
            "claims_queue_url": outputs["ClaimsQueueUrl"],
            "version": self.version,
        }


def read(endpoint: str, outputs: Mapping[str, str]) -> Deployment:
    """Put a deployment together from its outputs and what the emulator's ECS knows of its service.

    Also switches on what the emulator's CloudFormation leaves out. Does blocking I/O.

    Raises:
        LocalError: An output is missing, or the service has no task definition.
    """
    missing = [name for name in REQUIRED_OUTPUTS if name not in outputs]
    if missing:
        msg = f"the stacks lack the outputs {', '.join(missing)}."
        raise LocalError(msg)
    _expire_items(endpoint, [outputs["LockTableName"], outputs["ConnectionsTableName"]])
    return Deployment(endpoint=endpoint, outputs=dict(outputs), worker_environment=_task_environment(endpoint, outputs))


def _expire_items(endpoint: str, tables: list[str]) -> None:
    """Switch on the tables' time to live, which the emulator takes from its API only."""
    dynamodb = client("dynamodb", endpoint)
    for table in tables:
        dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE}
        )


def _task_environment(endpoint: str, outputs: Mapping[str, str]) -> dict[str, str]:
    ecs = client("ecs", endpoint)
    cluster, service = outputs["ClusterName"], outputs["WorkerServiceName"]
    services = ecs.describe_services(cluster=cluster, services=[service])["services"]
    if not services:
        msg = f"service {service} is not in cluster {cluster}: the deployment left it out."
        raise LocalError(msg)
    task = ecs.describe_task_definition(taskDefinition=services[0]["taskDefinition"])["taskDefinition"]
    variables = cast("list[dict[str, str]]", task["containerDefinitions"][0].get("environment", []))
    return {variable["name"]: variable["value"] for variable in variables}


def session_holder(deployment: Deployment, session: str, principal: str) -> tuple[str, int] | None:
    """Return the id of the worker that holds a session's lease, and its epoch, or None. Does blocking I/O."""
    answer = client("dynamodb", deployment.endpoint).get_item(
        TableName=deployment.outputs["LockTableName"],
        Key={"session_key": {"S": f"{principal}/{session}"}},
        ConsistentRead=True,
    )
    item: dict[str, dict[str, str]] = answer.get("Item", {})
    return (item["holder"]["S"], int(item["epoch"]["N"])) if "acquire_id" in item and "holder" in item else None
