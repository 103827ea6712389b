"""The network: worker tasks, and a way from the message function to them, without a NAT gateway.

    network=public   public subnets     tasks, each with addresses of its own
                     private subnets    the message function
    network=private  private subnets    tasks and the message function, and interface endpoints to AWS
                     public subnets     with ``transport=direct`` or ``both``: the load balancer
    vpc_id           the subnets that are named; how they lead to AWS and to the provider is the VPC's business

Whichever it is, only the message function and other workers reach a task on the port where it takes frames, and only
the load balancer on the port where it takes clients' sockets. Ways out: S3 and DynamoDB through gateway endpoints, the
rest over the tasks' own addresses or IPv6 through an egress-only gateway. In ``public`` nothing is paid for by the hour
but the tasks' public addresses, and the load balancer, where there is one.
"""

from __future__ import annotations

from typing import Any, Final

from aws_cdk import Acknowledgment, Aws, Validations
from aws_cdk import aws_ec2 as ec2
from constructs import Construct, IDependable

from infra.config import Config
from infra.constants import AVAILABILITY_ZONES, WORKER_PORT, WORKER_SOCKETS_PORT
from infra.constructs.log_groups import end_logs_of_cdks_own

HTTPS: Final = 443
BALANCER: Final = "Balancer"
"""Name of the public subnets that a private network has for its load balancer."""
_SERVICES: Final = ec2.InterfaceVpcEndpointAwsService
_DEFAULT_GROUP: Final = "Custom::VpcRestrictDefaultSGCustomResourceProvider"
"""CDK's function that empties the default security group."""
_ROUTES_UNKNOWN: Final = Acknowledgment(
    id="Annotation::@aws-cdk/aws-ec2:noSubnetRouteTableId",
    reason="Nothing is added to the routes of a VPC that was there.",
)


class Network(Construct):
    """VPC and security groups.

    Attributes:
        vpc: Made here, or the one that was there.
        workers: The security group of worker tasks.
        worker_subnets: Where tasks run.
        message: The security group of the message function; None where the function is outside the VPC, or is not.
        balancer: The security group of the load balancer; None without one.
        balancer_subnets: Public subnets of the load balancer; None without one.
        public: Whether tasks have public addresses.
        ipv6: Whether the way out is over IPv6, and so the API's own address must be.
        function_environment: What the message function has to know to find its way out.
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config) -> None:
        super().__init__(scope, construct_id)
        self._config = config
        self._endpoints: list[IDependable] = []
        self._isolated = config.target.network_isolation
        self.public = config.network == "public"
        self.ipv6 = self._isolated and config.vpc_id is None
        self.vpc = self._new() if config.vpc_id is None else self._existing(config.vpc_id)
        if self._isolated and config.vpc_id is None:
            end_logs_of_cdks_own(self, "DefaultGroupLogs", config, _DEFAULT_GROUP, "default-security-group")
        self.worker_subnets = self._subnets("Workers", config.vpc_worker_subnets)
        # Out: AWS, the model's provider, and whatever the tools of the user's agent call.
        self.workers = ec2.SecurityGroup(
            self,
            "WorkerGroup",
            vpc=self.vpc,
            description="Worker tasks: take frames from the message function and from each other",
            allow_all_outbound=True,
            allow_all_ipv6_outbound=True if self._isolated else None,
        )
        self.message = self._message_group() if self._isolated and config.api else None
        if self._isolated:
            self.workers.add_ingress_rule(self.workers, ec2.Port.tcp(WORKER_PORT), "handoffs between workers")
        self.balancer = self._balancer_group() if config.direct else None
        self.balancer_subnets = self._balancer_subnets() if config.direct else None
        # DynamoDB has a gateway endpoint; SQS has none, so that it is called over IPv6 or by an interface endpoint.
        by_ipv6 = self.ipv6 and self.public
        self.function_environment = {"AWS_ENDPOINT_URL_SQS": f"https://sqs.{Aws.REGION}.api.aws"} if by_ipv6 else {}
        if self.ipv6 and not self.public:
            self._add_interface_endpoints()

    @property
    def reaches_issuers(self) -> bool:
        """True if tasks reach any issuer of tokens: not those whose only way out is IPv6."""
        return self.public or not self.ipv6

    @property
    def egress(self) -> list[IDependable]:
        """Resources that must exist before a task can call anything."""
        subnets = self.vpc.select_subnets(
            subnets=self.worker_subnets.subnets, subnet_group_name=self.worker_subnets.subnet_group_name
        )
        return [subnets.internet_connectivity_established, *self._endpoints]

    @property
    def function_options(self) -> dict[str, Any]:
        """Properties that put a Lambda function beside the workers."""
        if self.message is None:
            return {}
        return {
            "vpc": self.vpc,
            "vpc_subnets": self._subnets("Functions", self._config.vpc_function_subnets),
            "security_groups": [self.message],
            "ipv6_allowed_for_dual_stack": True if self.ipv6 else None,
        }

    def _new(self) -> ec2.IVpc:
        kinds = ec2.SubnetType
        workers = kinds.PUBLIC if self.public else kinds.PRIVATE_WITH_EGRESS
        subnets = [
            ec2.SubnetConfiguration(name="Workers", subnet_type=workers, cidr_mask=20),
            ec2.SubnetConfiguration(name="Functions", subnet_type=kinds.PRIVATE_WITH_EGRESS, cidr_mask=20),
        ]
        if self._config.direct and not self.public:
            # Behind the others, so that none of these is renumbered, which would replace it.
            subnets.append(ec2.SubnetConfiguration(name=BALANCER, subnet_type=kinds.PUBLIC, cidr_mask=24))
        return ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr("10.0.0.0/16"),
            ip_protocol=ec2.IpProtocol.DUAL_STACK if self._isolated else ec2.IpProtocol.IPV4_ONLY,
            max_azs=AVAILABILITY_ZONES,
            nat_gateways=0,
            subnet_configuration=subnets if self._isolated else subnets[:1],
            restrict_default_security_group=self._isolated,
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )

    def _existing(self, vpc_id: str) -> ec2.IVpc:
        # By its ids: looking them up would need credentials at each synthesis.
        zones = str(self._config.vpc_zones).split(",")
        return ec2.Vpc.from_vpc_attributes(self, "Vpc", vpc_id=vpc_id, availability_zones=zones)

    def _subnets(self, name: str, subnet_ids: str | None) -> ec2.SubnetSelection:
        if subnet_ids is None:
            return ec2.SubnetSelection(subnet_group_name=name)
        zones = str(self._config.vpc_zones).split(",")
        subnets = [
            ec2.Subnet.from_subnet_attributes(self, f"{name}-{zone}", subnet_id=subnet, availability_zone=zone)
            for zone, subnet in zip(zones, subnet_ids.split(","), strict=True)
        ]
        for subnet in subnets:
            Validations.of(subnet).acknowledge(_ROUTES_UNKNOWN)
        return ec2.SubnetSelection(subnets=subnets)

    def _message_group(self) -> ec2.SecurityGroup:
        message = ec2.SecurityGroup(
            self,
            "MessageGroup",
            vpc=self.vpc,
            description="The message function: sends frames to worker tasks, and calls AWS",
            allow_all_outbound=False,
        )
        frames = ec2.Port.tcp(WORKER_PORT)
        message.connections.allow_to(self.workers, frames, "frames to the worker that holds the session")
        message.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "S3 and DynamoDB by gateway endpoints")
        message.add_egress_rule(
            ec2.Peer.any_ipv6(), ec2.Port.tcp(HTTPS), "SQS and the connections, by dual-stack endpoints"
        )
        return message

    def _balancer_subnets(self) -> ec2.SubnetSelection:
        if self.public and self._config.vpc_balancer_subnets is None:
            return self.worker_subnets
        return self._subnets(BALANCER, self._config.vpc_balancer_subnets)

    def _balancer_group(self) -> ec2.SecurityGroup:
        balancer = ec2.SecurityGroup(
            self,
            "BalancerGroup",
            vpc=self.vpc,
            description="The load balancer: takes connections of clients, and passes them to worker tasks",
            allow_all_outbound=False,
        )
        balancer.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "clients")
        # By the group, not by addresses: with the client's address preserved a rule on addresses would have to let in
        # everyone, past the balancer too.
        sockets = ec2.Port.tcp(WORKER_SOCKETS_PORT)
        balancer.connections.allow_to(self.workers, sockets, "sockets of clients, and health checks")
        return balancer

    def _add_interface_endpoints(self) -> None:
        """Services that tasks without public addresses call and that have no way over IPv6."""
        group = ec2.SecurityGroup(
            self,
            "EndpointGroup",
            vpc=self.vpc,
            description="Interface endpoints: called by worker tasks and the message function",
            allow_all_outbound=False,
        )
        for name, caller in (("workers", self.workers), ("the message function", self.message)):
            if caller is not None:
                group.add_ingress_rule(caller, ec2.Port.tcp(HTTPS), f"calls from {name}")
        for name, service in self._needed_services().items():
            endpoint = ec2.InterfaceVpcEndpoint(
                self,
                f"{name}Endpoint",
                vpc=self.vpc,
                service=service,
                subnets=self.worker_subnets,
                security_groups=[group],
                private_dns_enabled=True,
                open=False,
            )
            self._endpoints.append(endpoint)

    def _needed_services(self) -> dict[str, ec2.IInterfaceVpcEndpointService]:
        config = self._config
        services = {
            "Sqs": _SERVICES.SQS,
            "Logs": _SERVICES.CLOUDWATCH_LOGS,
            "Images": _SERVICES.ECR,
            "ImageLayers": _SERVICES.ECR_DOCKER,
        }
        if config.provider == "nova-sonic":
            services["Model"] = _SERVICES.BEDROCK_RUNTIME
        if config.provider_secret_arn is not None:
            services["Secrets"] = _SERVICES.SECRETS_MANAGER
        if config.trace_sampling_percent and not config.trace_endpoint:
            services["Traces"] = _SERVICES.XRAY
        return dict(services)
