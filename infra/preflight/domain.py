"""Addresses of one's own: the certificate is issued and fits, the zone is the name's, the record is free.

The API has one, and the load balancer of the direct transport another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.config import Config
from infra.preflight.account import Account, RefusedError
from infra.preflight.findings import Finding, State, judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A name of the deployment.

    Attributes:
        name: The name.
        certificate: ARN of its certificate.
        zone_id: Its hosted zone; None: its record is written by hand.
        setting: Beginning of its settings' names.
        of: What follows the subject in a finding.
    """

    name: str
    certificate: str | None
    zone_id: str | None
    setting: str
    of: str = ""


def addresses(config: Config) -> Iterator[Address]:
    """The names that the settings give."""
    if config.domain_name is not None:
        yield Address(
            name=config.domain_name,
            certificate=config.domain_certificate_arn,
            zone_id=config.domain_zone_id,
            setting="domain",
        )
    if config.direct_domain_name is not None:
        yield Address(
            name=config.direct_domain_name,
            certificate=config.direct_certificate_arn,
            zone_id=config.direct_zone_id,
            setting="direct",
            of=f" of {config.direct_domain_name}",
        )


def certificate(account: Account, config: Config) -> Iterator[Finding]:
    """The certificate of each address."""
    for address in addresses(config):
        yield _certificate(account, address)


def _certificate(account: Account, address: Address) -> Finding:
    arn, name = str(address.certificate), address.name
    needed = f"issued for {name}, in {account.region}"
    mend = f"aws acm request-certificate --domain-name {name} --validation-method DNS --region {account.region}"
    region = arn.split(":")[3]
    if region != account.region:
        found = f"in {region}"
    else:
        try:
            described = account.ask("acm", "DescribeCertificate", CertificateArn=arn)["Certificate"]
        except RefusedError as error:
            if error.code != "ResourceNotFoundException":
                raise
            found = "does not exist"
        else:
            names = {described.get("DomainName", ""), *described.get("SubjectAlternativeNames", [])}
            fits = any(_covers(each, name) for each in names)
            found = described["Status"] if fits else f"for {', '.join(sorted(names))}"
            if found == "PENDING_VALIDATION":
                mend = f"write the record that aws acm describe-certificate --certificate-arn {arn} names"
    subject = f"certificate{address.of}"
    return judged("domain", subject, holds=found == "ISSUED", needed=needed, found=found, mend=mend)


def zone(account: Account, config: Config) -> Iterator[Finding]:
    """The hosted zones in which the stack writes records."""
    for address in addresses(config):
        if address.zone_id is not None:
            yield _zone(account, address, address.zone_id)


def _zone(account: Account, address: Address, zone_id: str) -> Finding:
    subject, needed = f"hosted zone{address.of}", f"a public zone above {address.name}"
    mend = f"aws route53 list-hosted-zones --query 'HostedZones[].[Id,Name]', then -c {address.setting}_zone_id=…"
    try:
        hosted_zone = account.ask("route53", "GetHostedZone", Id=zone_id)["HostedZone"]
    except RefusedError as error:
        if error.code != "NoSuchHostedZone":
            raise
        return judged("domain", subject, holds=False, needed=needed, found="does not exist", mend=mend)
    private = hosted_zone.get("Config", {}).get("PrivateZone", False)
    above = f".{address.name}.".endswith(f".{hosted_zone['Name'].rstrip('.')}.")
    text = f"{hosted_zone['Name']}{', private' if private else ''}"
    return judged("domain", subject, holds=above and not private, needed=needed, found=text, mend=mend)


def record(account: Account, config: Config) -> Iterator[Finding]:
    """The address records: one that is there and not this stack's makes the deployment fail."""
    for address in addresses(config):
        if address.zone_id is not None:
            yield from _record(account, address, address.zone_id)


def _record(account: Account, address: Address, zone_id: str) -> Iterator[Finding]:
    name = f"{address.name}."
    try:
        listed = account.ask(
            "route53", "ListResourceRecordSets", HostedZoneId=zone_id, StartRecordName=name, MaxItems="10"
        )
    except RefusedError as error:
        if error.code != "NoSuchHostedZone":
            raise
        return  # `zone` says it
    kinds = [each["Type"] for each in listed["ResourceRecordSets"] if each["Name"] == name]
    address_kinds = sorted({"A", "AAAA", "CNAME"} & set(kinds))
    yield judged(
        "domain",
        f"address record{address.of}",
        holds=not address_kinds,
        needed="none, or this stack's own",
        found=", ".join(address_kinds) or "none",
        mend=f"if it is not the stack's: aws route53 change-resource-record-sets --hosted-zone-id {zone_id} (DELETE)",
        otherwise=State.UNKNOWN,
    )


def _covers(pattern: str, name: str) -> bool:
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:]
    return pattern == name
