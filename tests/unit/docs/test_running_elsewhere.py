"""Recipes for workers elsewhere, places and limits: what the pages say is what the code has."""

from __future__ import annotations

import json
import re
import shlex
from configparser import RawConfigParser
from typing import Any

import boto3
import pytest
import yaml
from botocore.client import BaseClient
from strands import Agent

from infra.config import Config
from infra.constants import DEREGISTRATION_SECONDS, ROOT, STOP_SECONDS, TURN_SECONDS, WORKER_PORT, WORKER_SOCKETS_PORT
from infra.environment_page import OTHERS, worker_variables
from segue import GuardedS3SessionManager, LeaseSettings
from segue.journal.inputs import KNOWN_CLIENTS
from segue.journal.records import MAX_RECORD_BYTES
from segue.testing import provision
from segue.testing.offline import OfflineTextModel
from segue.wire.fields import MAX_FRAME_BYTES
from shared.connections import DIRECT_LIFETIME_SECONDS, MOST_CLIENTS
from shared.ingress.admission import CONNECTIONS_PER_SESSION
from shared.ingress.default_limits import SESSIONS_PER_PRINCIPAL
from worker.direct.socket_server import MAX_MESSAGE_BYTES
from worker.direct.times import TRANSPORT_TIMES
from worker.settings import NEEDED, Environment

PAGE = (ROOT / "docs" / "running-elsewhere.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "functions" / "worker" / "Dockerfile").read_text(encoding="utf-8")
KNOWN = {name for name, _, _ in worker_variables()} | {one for names in OTHERS for one in names.split(", ")}


def recipe(title: str) -> str:
    """The first block of code below a heading."""
    found = re.search(rf"^## {title}\n.*?^```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no recipe below {title}"
    return found[1]


@pytest.fixture
def compose() -> dict[str, Any]:
    (service,) = yaml.safe_load(recipe("Compose"))["services"].values()
    return service


@pytest.fixture
def deployment() -> dict[str, Any]:
    return yaml.safe_load(recipe("EKS"))


@pytest.fixture
def unit() -> RawConfigParser:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(re.sub(r"^Environment=", "Environment+=", recipe("EC2"), flags=re.MULTILINE))
    return parser


def environment(variables: dict[str, str]) -> Environment:
    """The settings that a worker reads, with those that every deployment gives it."""
    assert variables.keys() <= KNOWN
    needed = [name for name, default, _ in worker_variables() if default == "needed"]
    return Environment.read(dict.fromkeys([*needed, *NEEDED["api"]], "x") | variables)


def reachable(variables: dict[str, str]) -> None:
    read = environment(variables)
    assert (read.bind_host, read.port) == ("0.0.0.0", WORKER_PORT)
    assert read.worker_host, "each worker has an address of its own"


def test_the_compose_file_runs_the_image_and_gives_it_its_time(compose):
    assert (ROOT / compose["build"]["context"] / compose["build"]["dockerfile"]).is_file()
    reachable(compose["environment"])
    assert compose["ports"] == [f"{WORKER_PORT}:{WORKER_PORT}"]
    assert compose["stop_grace_period"] == f"{STOP_SECONDS}s"
    assert compose["read_only"]
    assert compose["tmpfs"] == ["/tmp"], "the image's volume"
    assert "VOLUME /tmp" in DOCKERFILE


def test_the_manifest_starts_new_workers_first_and_gives_the_old_ones_their_time(deployment):
    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    spec = deployment["spec"]
    template = spec["template"]
    assert spec["selector"]["matchLabels"] == template["metadata"]["labels"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": "100%"}
    pod = template["spec"]
    (container,) = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] == STOP_SECONDS
    assert container["ports"] == [{"containerPort": WORKER_PORT}]
    assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": WORKER_PORT}
    assert f"USER {container['securityContext']['runAsUser']}" in DOCKERFILE
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    reachable({one["name"]: one.get("value", "10.0.1.17") for one in container["env"]})


def test_the_unit_starts_a_worker_and_gives_it_its_time(unit):
    service = unit["Service"]
    assert unit.sections() == ["Unit", "Service", "Install"]
    assert (service["KillSignal"], service["TimeoutStopSec"]) == ("SIGTERM", str(STOP_SECONDS))
    shell, option, command = shlex.split(service["ExecStart"])
    assert (shell, option) == ("/bin/sh", "-c")
    assert command.endswith("python -m worker"), "exec: the signal reaches the worker"
    assert " exec " in command
    assert [name for name in re.findall(r"\b([A-Z][A-Z_]+)=", command) if name not in KNOWN] == []
    lines = re.findall(r"^Environment=(.*)$", recipe("EC2"), re.MULTILINE)
    given = dict(one.split("=", 1) for line in lines for one in shlex.split(line))
    for folder in given.pop("PYTHONPATH").split(":"):
        assert (ROOT / folder).is_dir()
    reachable(given | {"SEGUE_WORKER_HOST": "10.0.1.17"})
    assert (ROOT / "requirements" / "worker.txt").is_file()
    assert "requirements/worker.txt" in PAGE


def test_the_service_of_a_direct_transport_ends_no_socket_and_leads_only_to_the_sockets(deployment):
    service = yaml.safe_load(recipe("A direct transport"))
    prefix = "service.beta.kubernetes.io/aws-load-balancer-"
    given = {name.removeprefix(prefix): value for name, value in service["metadata"]["annotations"].items()}
    assert dict(each.split("=") for each in given["target-group-attributes"].split(",")) == {
        "deregistration_delay.timeout_seconds": str(DEREGISTRATION_SECONDS),
        "deregistration_delay.connection_termination.enabled": "false",
        "target_health_state.unhealthy.connection_termination.enabled": "false",
        "preserve_client_ip.enabled": "true",
    }, "attributes of the target group differ from the stack's"
    assert (given["ssl-ports"], given["backend-protocol"]) == ("443", "tcp")
    assert (given["healthcheck-protocol"], given["healthcheck-path"]) == ("http", "/health")
    assert all(isinstance(value, str) for value in given.values()), "a number or a truth value is refused"
    (port,) = service["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (443, WORKER_SOCKETS_PORT)
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert f"containerPort: {WORKER_SOCKETS_PORT}" in PAGE
    assert f'`SEGUE_DIRECT_PORT: "{WORKER_SOCKETS_PORT}"`' in PAGE


PLACEMENT = (ROOT / "docs" / "placement.md").read_text(encoding="utf-8")


def test_a_table_that_is_made_by_hand_is_the_one_that_the_library_makes(aws):
    provision("my-bucket", "my-locks")
    made = boto3.client("dynamodb").describe_table(TableName="my-locks")["Table"]
    expiry = boto3.client("dynamodb").describe_time_to_live(TableName="my-locks")["TimeToLiveDescription"]
    (key,) = made["KeySchema"]
    name, expires = re.escape(key["AttributeName"]), re.escape(expiry["AttributeName"])
    assert re.search(rf"--attribute-definitions AttributeName={name},AttributeType=S ", PLACEMENT)
    assert re.search(rf"--key-schema AttributeName={name},KeyType={key['KeyType']}\n", PLACEMENT)
    assert re.search(rf"Enabled=true,AttributeName={expires}\n", PLACEMENT)


@pytest.mark.slow
async def test_the_permissions_are_all_that_a_session_needs(aws, monkeypatch):
    """Each request of a session's whole life is one that the policy of the page allows."""
    (policy,) = re.findall(r"```json\n(.*?)```", PLACEMENT, re.DOTALL)
    actions = [statement["Action"] for statement in json.loads(policy)["Statement"]]
    allowed = {one.partition(":")[2] for action in actions for one in ([action] if isinstance(action, str) else action)}
    asked: set[str] = set()
    ask = BaseClient._make_api_call
    monkeypatch.setattr(
        BaseClient, "_make_api_call", lambda self, name, arguments: asked.add(name) or ask(self, name, arguments)
    )
    provision("my-bucket", "my-locks")
    asked.clear()
    place = {"bucket": "my-bucket", "lock_table": "my-locks", "prefix": "agents/"}
    for text in ("My name is Alice", "What is my name?"):
        async with GuardedS3SessionManager("talk", **place) as manager:
            await Agent(model=OfflineTextModel(), session_manager=manager, callback_handler=None).invoke_async(text)
    async with GuardedS3SessionManager("talk", **place) as manager:
        await manager.delete()
    names = {name.replace("ListObjectsV2", "ListBucket").replace("DeleteObjects", "DeleteObject") for name in asked}
    assert names <= allowed
    assert names >= {"GetItem", "UpdateItem", "PutObject"}


MIB = 1024 * 1024
LIMITS = {
    "frame of a client": f"{MAX_FRAME_BYTES // 1024} KB",
    "one record (a message with its images)": f"{MAX_RECORD_BYTES // MIB} MiB",
    "sessions of a worker": f"`worker_capacity`, {Config().worker_capacity}",
    "sessions that one user has open": str(SESSIONS_PER_PRINCIPAL),
    "clients of a session whose input is told apart": str(KNOWN_CLIENTS),
    "clients of a session that a new holder greets": str(MOST_CLIENTS),
    "a turn of text": f"as many invocations as it takes, {TURN_SECONDS // 60} minutes each",
}


def test_the_limits_are_those_of_the_code():
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]*) \|", PLACEMENT, re.MULTILINE))
    assert {name: rows.get(name) for name in LIMITS} == LIMITS
    faq = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    assert f"A frame has {LIMITS['frame of a client']}, a record {MAX_RECORD_BYTES // MIB} MiB" in faq
    protocol = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    _, _, direct = protocol.partition("### Direct connections")
    assert f"429 if the principal has {SESSIONS_PER_PRINCIPAL * CONNECTIONS_PER_SESSION} connections" in direct
    assert f"without `hello` is closed after {TRANSPORT_TIMES.hello_seconds:.0f} s" in direct
    assert f"a message of more than {MAX_MESSAGE_BYTES:,} bytes" in direct
    assert f"counts for {DIRECT_LIFETIME_SECONDS // 60} minutes" in direct
    lease = LeaseSettings()
    assert f"the rest of the lease ({lease.duration:.0f} s)" in faq
    assert {3.0: "a heartbeat every three seconds"}[lease.heartbeat] in faq
