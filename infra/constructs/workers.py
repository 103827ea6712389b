"""The workers: a Fargate service whose tasks run agents, many sessions each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aws_cdk import Aws, Duration, RemovalPolicy, Size
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import Config
from infra.constants import (
    ECR_IMAGE,
    ROOT,
    SESSION_PREFIX,
    STOP_SECONDS,
    WORKER_DOCKERFILE,
    WORKER_METRIC_SERVICE,
    WORKER_PORT,
    WORKER_SOCKETS_PORT,
)
from infra.constructs.bedrock import model_arns
from infra.constructs.direct.balancer import Balancer
from infra.constructs.direct.worker_transport import WorkerTransport
from infra.constructs.log_groups import log_group
from infra.constructs.management import allow_connections
from infra.constructs.network import Network
from infra.constructs.scaling import scale
from infra.constructs.storage import Storage
from infra.constructs.tracing import allow_traces, trace_environment
from infra.setting_combinations import PROVIDER_KEYS
from infra.worker_version import parts as version_parts
from infra.worker_version import version

CONTAINER: Final = "worker"
GRACE: Final = Duration.minutes(3)
"""From a task's start until ECS heeds the load balancer's opinion of it: registering takes one to three minutes."""

WORKER_USER: Final = "10001"
"""An unprivileged user, as in the Dockerfile; an image from elsewhere runs as the same."""

HEALTH_COMMAND: Final = (
    "import urllib.request as request; "
    f"request.urlopen('http://127.0.0.1:{WORKER_PORT}/health', timeout=4)"  # raises on 503: not ready
)

TABLE_ACTIONS: Final = [
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
]
CLAIM_ACTIONS: Final = [
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
]

MODEL_ACTIONS: Final = ["bedrock:InvokeModel", "bedrock:InvokeModelWithBidirectionalStream"]
"""The API reference says that a bidirectional stream needs the first; accounts have been seen to ask for the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """Resources that the workers are connected to.

    Attributes:
        stage: Of the WebSocket API; None without one.
        direct: The direct transport; None without it.
    """

    storage: Storage
    claims: sqs.IQueue
    network: Network
    stage: apigateway.WebSocketStage | None = None
    direct: WorkerTransport | None = None


class Workers(Construct):
    """Cluster, task definition and service.

    Attributes:
        version: What the tasks run (SEGUE_WORKER_VERSION).
        parts: The same in parts, for a comparison.
        cluster: Holds the service.
        service: Replaced task by task at a deployment: new tasks are healthy before old ones get SIGTERM.
        balancer: The load balancer before their sockets; None without the direct transport.
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config, parts: WorkerParts) -> None:
        super().__init__(scope, construct_id)
        self._config, self._parts = config, parts
        self._image, self._content = self._image_and_content()
        variables = self._environment()
        # The same content and the same settings give the same task definition, and nothing is replaced.
        self.version = config.version or version(self._content, variables)
        self.parts = version_parts(config, self._content, variables)
        self._variables = variables | {"SEGUE_WORKER_VERSION": self.version}
        self.cluster = ecs.Cluster(self, "Cluster", vpc=parts.network.vpc)
        task = self._task()
        self._grant(task.task_role)
        self.service = ecs.FargateService(
            self,
            "Service",
            cluster=self.cluster,
            task_definition=task,
            # Never below capacity, and room for every new task beside the old ones. No protection from scale-in:
            # protected tasks would never get the SIGTERM that starts the handoff.
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
            # ECS would replace tasks by itself to even out zones, and each one that goes hands its sessions over.
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.DISABLED,
            assign_public_ip=parts.network.public,
            vpc_subnets=parts.network.worker_subnets,
            security_groups=[parts.network.workers],
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            enable_ecs_managed_tags=True,
            health_check_grace_period=GRACE if parts.direct else None,
            **self._capacity(),
        )
        self.balancer = Balancer(self, "Direct", config, parts.network) if parts.direct else None
        if self.balancer:
            self.balancer.serve(self.service, CONTAINER)
        if config.target.scaling:
            scale(self.service, config, parts.claims)
            # The cluster's own property makes the same without an order: a service may then be made before its
            # providers are there, and they cannot be taken away while it uses them.
            providers = ecs.CfnClusterCapacityProviderAssociations(
                self,
                "CapacityProviders",
                cluster=self.cluster.cluster_name,
                capacity_providers=["FARGATE", "FARGATE_SPOT"],
                default_capacity_provider_strategy=[],
            )
            self.service.node.add_dependency(providers)
        # Tasks that start before there is a way out cannot fetch their image, and the deployment would be rolled back.
        self.service.node.add_dependency(*parts.network.egress)

    def _capacity(self) -> dict[str, Any]:
        config = self._config
        if not config.target.scaling:
            return {"desired_count": config.worker_count}
        # No desired_count: a deployment would reset what scaling has set, and cut sessions.
        shares = {"FARGATE": 100 - config.worker_spot_percent, "FARGATE_SPOT": config.worker_spot_percent}
        return {
            "capacity_provider_strategies": [
                ecs.CapacityProviderStrategy(capacity_provider=name, weight=weight)
                for name, weight in shares.items()
                if weight
            ]
        }

    def _task(self) -> ecs.FargateTaskDefinition:
        config = self._config
        arm = config.architecture == "arm64"
        task = ecs.FargateTaskDefinition(
            self,
            "Task",
            family=f"segue-{config.stage}-worker",
            cpu=config.worker_cpu,
            memory_limit_mib=config.worker_memory,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.ARM64 if arm else ecs.CpuArchitecture.X86_64,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
            volumes=[ecs.Volume(name="tmp")],
        )
        # A replaced revision would be deregistered, and there would be no going back to it by hand.
        task.apply_removal_policy(RemovalPolicy.RETAIN)
        container = task.add_container(
            CONTAINER,
            container_name=CONTAINER,
            image=self._image,
            environment=self._variables,
            secrets=self._secrets(),
            user=WORKER_USER,
            port_mappings=[ecs.PortMapping(container_port=port, name=name) for name, port in self._ports().items()],
            stop_timeout=Duration.seconds(STOP_SECONDS),
            readonly_root_filesystem=True,
            health_check=ecs.HealthCheck(
                command=["CMD", "python", "-c", HEALTH_COMMAND],
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                retries=3,
                start_period=Duration.seconds(60),
            ),
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix="worker",
                log_group=log_group(self, "Logs", config, "worker"),
                # A log service that stalls drops lines instead of stalling the audio.
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
                max_buffer_size=Size.mebibytes(4),
            ),
        )
        # Where libraries may put temporary files; all else is read-only.
        container.add_mount_points(ecs.MountPoint(container_path="/tmp", source_volume="tmp", read_only=False))  # noqa: S108
        return task

    def _ports(self) -> dict[str, int]:
        frames = {"frames": WORKER_PORT}
        return frames | {"sockets": WORKER_SOCKETS_PORT} if self._parts.direct else frames

    def _image_and_content(self) -> tuple[ecs.ContainerImage, str]:
        """The image, and what tells it from another: of one that is built a hash of all that it is built from."""
        config = self._config
        if config.worker_image is not None:
            return self._registry_image(config.worker_image), config.worker_image
        arm = config.architecture == "arm64"
        asset = ecr_assets.DockerImageAsset(
            self,
            "Image",
            directory=str(ROOT),
            file=WORKER_DOCKERFILE,
            exclude=context_excludes(),
            platform=ecr_assets.Platform.LINUX_ARM64 if arm else ecr_assets.Platform.LINUX_AMD64,
            build_args={"PYTHON_IMAGE": config.worker_base_image} if config.worker_base_image else None,
        )
        return ecs.ContainerImage.from_docker_image_asset(asset), asset.asset_hash

    def _registry_image(self, address: str) -> ecs.ContainerImage:
        ecr_image = ECR_IMAGE.fullmatch(address)
        if ecr_image is None:
            return ecs.ContainerImage.from_registry(address)
        repository = ecr.Repository.from_repository_attributes(
            self,
            "Repository",
            repository_name=ecr_image["name"],
            repository_arn=f"arn:{Aws.PARTITION}:ecr:{ecr_image['region']}:{ecr_image['account']}:repository/{ecr_image['name']}",
        )
        return ecs.ContainerImage.from_ecr_repository(repository, ecr_image["version"])

    def _environment(self) -> dict[str, str]:
        config, parts = self._config, self._parts
        environment = {
            "AWS_REGION": Aws.REGION,
            "SEGUE_STAGE": config.stage,
            "SEGUE_BUCKET": parts.storage.bucket.bucket_name,
            "SEGUE_LOCK_TABLE": parts.storage.lock_table.table_name,
            "SEGUE_CONNECTIONS_TABLE": parts.storage.connections_table.table_name,
            "SEGUE_CLAIMS_QUEUE_URL": parts.claims.queue_url,
            **({"SEGUE_MANAGEMENT_ENDPOINT": parts.stage.callback_url} if parts.stage else {}),
            "SEGUE_BIND_HOST": "0.0.0.0",  # noqa: S104 - the security group decides who reaches it
            "SEGUE_WORKER_PORT": str(WORKER_PORT),
            "SEGUE_CAPACITY": str(config.worker_capacity),
            "SEGUE_LEASE_SECONDS": str(config.lease_seconds),
            "SEGUE_HEARTBEAT_SECONDS": str(config.heartbeat_seconds),
            "SEGUE_LINGER_SECONDS": str(config.worker_linger_seconds),
            "SEGUE_RETENTION_DAYS": str(config.retention_days),
            "SEGUE_PROVIDER": config.provider,
            "POWERTOOLS_SERVICE_NAME": WORKER_METRIC_SERVICE,
            "LOG_LEVEL": config.log_level,
        }
        if parts.direct is not None:
            environment |= parts.direct.variables
        environment |= self._config.model_environment | trace_environment(config)
        if config.target.keeps_data and not config.offline:
            environment["SEGUE_CHECK_MODEL"] = "1"
        return environment

    def _secrets(self) -> dict[str, ecs.Secret] | None:
        """The provider's key: ECS reads it when a task starts, and no template has it."""
        arn = self._config.provider_secret_arn
        if arn is None:
            return None
        secret = secretsmanager.Secret.from_secret_complete_arn(self, "ProviderSecret", arn)
        return {PROVIDER_KEYS[self._config.provider]: ecs.Secret.from_secrets_manager(secret)}

    def _grant(self, role: iam.IRole) -> None:
        parts = self._parts
        parts.storage.lock_table.grant(role, *TABLE_ACTIONS)
        parts.storage.connections_table.grant(role, *TABLE_ACTIONS)
        parts.claims.grant(role, *CLAIM_ACTIONS)
        bucket = parts.storage.bucket
        _allow(role, ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], bucket.arn_for_objects(f"{SESSION_PREFIX}*"))
        # On the bucket as a whole: with a condition on the prefix, reading a missing object would be answered with
        # "access denied", because such a read names no prefix, and a restore could not tell the two apart.
        _allow(role, ["s3:ListBucket"], bucket.bucket_arn)
        if parts.stage is not None:
            allow_connections(role, parts.stage, "*")
        if parts.direct is not None:
            parts.direct.allow(role)
        if self._config.provider == "nova-sonic":
            for model in model_arns(str(self._config.model_id)):
                _allow(role, MODEL_ACTIONS, model)
        parts.storage.allow_key(role)
        allow_traces(role, self._config)


def _allow(role: iam.IRole, actions: list[str], resource: str) -> None:
    role.add_to_principal_policy(iam.PolicyStatement(actions=actions, resources=[resource]))


def context_excludes() -> list[str]:
    """Files that the image's build does not see: the same list that a build by hand uses."""
    lines = (ROOT / f"{WORKER_DOCKERFILE}.dockerignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
