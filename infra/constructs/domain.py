"""An address of one's own for the WebSocket API."""

from __future__ import annotations

from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from constructs import Construct

from infra.config import Config


class Domain(Construct):
    """Domain name, its mapping to the stage, and, if its zone is known, the record.

    Attributes:
        url: Where clients connect.
        target: What a record that is written by hand has to name.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: Config,
        api: apigateway.WebSocketApi,
        stage: apigateway.WebSocketStage,
    ) -> None:
        super().__init__(scope, construct_id)
        name, certificate = str(config.domain_name), str(config.domain_certificate_arn)
        domain = apigateway.DomainName(
            self,
            "Name",
            domain_name=name,
            certificate=acm.Certificate.from_certificate_arn(self, "Certificate", certificate),
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
            ip_address_type=apigateway.IpAddressType.DUAL_STACK,
        )
        apigateway.ApiMapping(self, "Mapping", api=api, domain_name=domain, stage=stage)
        self.url = f"wss://{name}"
        self.target = domain.regional_domain_name
        if config.domain_zone_id is not None:
            zone = route53.HostedZone.from_hosted_zone_attributes(
                self, "Zone", hosted_zone_id=config.domain_zone_id, zone_name=name
            )
            address = targets.ApiGatewayv2DomainProperties(domain.regional_domain_name, domain.regional_hosted_zone_id)
            target = route53.RecordTarget.from_alias(address)
            route53.ARecord(self, "Address", zone=zone, record_name=f"{name}.", target=target)
            route53.AaaaRecord(self, "AddressV6", zone=zone, record_name=f"{name}.", target=target)
