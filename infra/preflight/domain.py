"""An address of one's own: the certificate is issued and fits, the zone is the name's, the record is free."""

from collections.abc import Iterator

from infra.config import Config
from infra.preflight.account import Account, RefusedError
from infra.preflight.findings import Finding, State, judged


def certificate(account: Account, config: Config) -> Iterator[Finding]:
    """The certificate of `domain_name`."""
    arn, name = config.domain_certificate_arn, config.domain_name
    if arn is None or name is None:
        return
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
    yield judged("domain", "certificate", holds=found == "ISSUED", needed=needed, found=found, mend=mend)


def zone(account: Account, config: Config) -> Iterator[Finding]:
    """The hosted zone in which the stack writes the record."""
    if config.domain_zone_id is None or config.domain_name is None:
        return
    needed = f"a public zone above {config.domain_name}"
    mend = "aws route53 list-hosted-zones --query 'HostedZones[].[Id,Name]', then -c domain_zone_id=…"
    try:
        found = account.ask("route53", "GetHostedZone", Id=config.domain_zone_id)["HostedZone"]
    except RefusedError as error:
        if error.code != "NoSuchHostedZone":
            raise
        yield judged("domain", "hosted zone", holds=False, needed=needed, found="does not exist", mend=mend)
        return
    private = found.get("Config", {}).get("PrivateZone", False)
    above = f".{config.domain_name}.".endswith(f".{found['Name'].rstrip('.')}.")
    text = f"{found['Name']}{', private' if private else ''}"
    yield judged("domain", "hosted zone", holds=above and not private, needed=needed, found=text, mend=mend)


def record(account: Account, config: Config) -> Iterator[Finding]:
    """The address record: one that is there and not this stack's makes the deployment fail."""
    zone_id, name = config.domain_zone_id, f"{config.domain_name}."
    if zone_id is None:
        return
    try:
        listed = account.ask(
            "route53", "ListResourceRecordSets", HostedZoneId=zone_id, StartRecordName=name, MaxItems="10"
        )
    except RefusedError as error:
        if error.code != "NoSuchHostedZone":
            raise
        return  # `zone` says it
    kinds = [each["Type"] for each in listed["ResourceRecordSets"] if each["Name"] == name]
    taken = sorted({"A", "AAAA", "CNAME"} & set(kinds))
    yield judged(
        "domain",
        "address record",
        holds=not taken,
        needed="none, or this stack's own",
        found=", ".join(taken) or "none",
        mend=f"if it is not the stack's: aws route53 change-resource-record-sets --hosted-zone-id {zone_id} (DELETE)",
        otherwise=State.UNKNOWN,
    )


def _covers(pattern: str, name: str) -> bool:
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:]
    return pattern == name
