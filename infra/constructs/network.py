"""The network: public worker tasks, and a way from the message function to them, without a NAT gateway.

    public subnets     worker tasks, each with addresses of its own; only the message function and other workers
                       reach them, on the one port where they take frames
    private subnets    the message function: out over IPv6 through an egress-only gateway (SQS has a dual-stack
                       endpoint), to S3 and DynamoDB through gateway endpoints

Nothing in it is paid for by the hour but the tasks' public addresses.
"""

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from infra.constants import WORKER_PORT
from infra.targets import Target

HTTPS = 443


class Network(Construct):
    """VPC and security groups.

    Attributes:
        vpc: Two availability zones.
        workers: The security group of worker tasks.
        message: The security group of the message function; None where the function is outside the VPC.
    """

    def __init__(self, scope: Construct, construct_id: str, target: Target) -> None:
        super().__init__(scope, construct_id)
        isolated = target.network_isolation
        kinds = ec2.SubnetType
        public = ec2.SubnetConfiguration(name="Workers", subnet_type=kinds.PUBLIC, cidr_mask=20)
        private = ec2.SubnetConfiguration(name="Functions", subnet_type=kinds.PRIVATE_WITH_EGRESS, cidr_mask=20)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr("10.0.0.0/16"),
            ip_protocol=ec2.IpProtocol.DUAL_STACK if isolated else ec2.IpProtocol.IPV4_ONLY,
            max_azs=2,
            nat_gateways=0,
            subnet_configuration=[public, private] if isolated else [public],
            restrict_default_security_group=isolated,
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        # Out: AWS, the model's provider, and whatever the tools of the user's agent call.
        self.workers = ec2.SecurityGroup(
            self,
            "WorkerGroup",
            vpc=self.vpc,
            description="Worker tasks: take frames from the message function and from each other",
            allow_all_outbound=True,
            allow_all_ipv6_outbound=True if isolated else None,
        )
        self.message = self._message_group() if isolated else None

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
        self.workers.add_ingress_rule(self.workers, frames, "handoffs between workers")
        message.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "S3 and DynamoDB by gateway endpoints")
        message.add_egress_rule(ec2.Peer.any_ipv6(), ec2.Port.tcp(HTTPS), "SQS by its dual-stack endpoint")
        return message
