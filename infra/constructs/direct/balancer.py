"""The load balancer before the workers' sockets. RFC 0026 has the source of each attribute."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from constructs import Construct

from infra.config import Config
from infra.constants import AVAILABILITY_ZONES, DEREGISTRATION_SECONDS, WORKER_SOCKETS_PORT
from infra.constructs.network import HTTPS, Network


class Balancer(Construct):
    """Network Load Balancer with TLS, and the workers as its targets.

    Attributes:
        url: Where clients connect.
        target: What a record that is written by hand has to name.
        balancer: The load balancer.
        group: The workers' sockets.
        zones: How many availability zones it is in, with a public address in each.
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config, network: Network) -> None:
        super().__init__(scope, construct_id)
        name = str(config.direct_domain_name)
        self.balancer = elb.NetworkLoadBalancer(
            self,
            "Balancer",
            vpc=network.vpc,
            internet_facing=True,
            # IPv4 alone: of an IPv6 client the workers would see the balancer's address instead of its own.
            ip_address_type=elb.IpAddressType.IPV4,
            vpc_subnets=network.balancer_subnets,
            security_groups=[network.balancer] if network.balancer else None,
            cross_zone_enabled=config.crosses_zones,
        )
        self.group = self._group(network.vpc)
        certificate = acm.Certificate.from_certificate_arn(self, "Certificate", str(config.direct_certificate_arn))
        self.balancer.add_listener(
            "Tls",
            port=HTTPS,
            protocol=elb.Protocol.TLS,
            certificates=[certificate],
            ssl_policy=elb.SslPolicy.RECOMMENDED_TLS,
            default_target_groups=[self.group],
        )
        self.zones = len(config.vpc_zones.split(",")) if config.vpc_zones else AVAILABILITY_ZONES
        self.url = f"wss://{name}"
        self.target = self.balancer.load_balancer_dns_name
        if config.direct_zone_id is not None:
            zone = route53.HostedZone.from_hosted_zone_attributes(
                self, "Zone", hosted_zone_id=config.direct_zone_id, zone_name=name
            )
            target = route53.RecordTarget.from_alias(targets.LoadBalancerTarget(self.balancer))
            route53.ARecord(self, "Address", zone=zone, record_name=f"{name}.", target=target)

    def serve(self, service: ecs.FargateService, container: str) -> None:
        """Make the tasks of a service its targets.

        Args:
            service: The workers'.
            container: The name of the container that listens.
        """
        target = service.load_balancer_target(
            container_name=container, container_port=WORKER_SOCKETS_PORT, protocol=ecs.Protocol.TCP
        )
        self.group.add_target(target)

    def _group(self, vpc: ec2.IVpc) -> elb.NetworkTargetGroup:
        group = elb.NetworkTargetGroup(
            self,
            "Workers",
            vpc=vpc,
            port=WORKER_SOCKETS_PORT,
            protocol=elb.Protocol.TCP,
            target_type=elb.TargetType.IP,
            preserve_client_ip=True,
            proxy_protocol_v2=False,
            deregistration_delay=Duration.seconds(DEREGISTRATION_SECONDS),
            connection_termination=False,
            health_check=elb.HealthCheck(
                protocol=elb.Protocol.HTTP,
                path="/health",
                healthy_http_codes="200",
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
            ),
        )
        # A worker that misses health checks may still be talking; the clients notice one that is not.
        group.set_attribute("target_health_state.unhealthy.connection_termination.enabled", "false")
        return group
