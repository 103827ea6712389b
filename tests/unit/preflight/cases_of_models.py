"""Cases of the checks of models, the provider's secret, the image and the domain."""

from __future__ import annotations

from functools import partial
from typing import Any

from infra.preflight import domain, images, models, secret
from infra.preflight.findings import State
from tests.support.answers import REGION, Refusal
from tests.unit.preflight.conftest import (
    CERTIFICATE,
    NUMBER,
    SECRET,
    availability,
)

WELL, SHORT, UNKNOWN, FAILS = State.WELL, State.SHORT, State.UNKNOWN, State.FAILS
DOMAIN = {
    "domain_name": "voice.example.com",
    "domain_certificate_arn": CERTIFICATE,
    "domain_zone_id": "Z0123456789",
}
GEMINI = {"provider": "gemini-live", "provider_secret_arn": SECRET}
SONIC = {"model_id": "amazon.nova-2-sonic-v1:0"}
TEXT = {"text_model_id": "amazon.nova-lite-v1:0"}
PROFILE = {"text_model_id": "us.amazon.nova-lite-v1:0"}
ECR = {"worker_image": f"{NUMBER}.dkr.ecr.{REGION}.amazonaws.com/segue/worker:7"}


def certificate(**changes: Any) -> dict[str, Any]:
    return {"Certificate": {"DomainName": "voice.example.com", "Status": "ISSUED"} | changes}


def zone(name: str, *, private: bool = False) -> dict[str, Any]:
    return {"HostedZone": {"Id": "Z", "Name": name, "CallerReference": "x", "Config": {"PrivateZone": private}}}


CASES = [
    # check, settings, answers, states, words of what was found, words of the command
    # models
    (models.voice, SONIC, {}, [WELL, WELL], "listed", None),
    (models.voice, {"workers": "text"}, {}, [], None, None),
    (
        models.voice,
        SONIC,
        {"bedrock__GetFoundationModel": Refusal("ResourceNotFoundException", "", 404)},
        [FAILS],
        "not known there",
        "aws bedrock list-foundation-models",
    ),
    (models.voice, GEMINI, {}, [], None, None),
    (
        models.voice,
        SONIC,
        {"bedrock__GetFoundationModelAvailability": Refusal("ValidationException", "invalid model identifier")},
        [WELL, FAILS],
        f"not known in {REGION}",
        "Bedrock console",
    ),
    (
        models.voice,
        SONIC,
        {"bedrock__GetFoundationModelAvailability": partial(availability, authorizationStatus="NOT_AUTHORIZED")},
        [WELL, FAILS],
        "the authorization is NOT_AUTHORIZED",
        "amazon.nova-2-sonic-v1:0",
    ),
    (
        models.voice,
        SONIC,
        {
            "bedrock__GetFoundationModelAvailability": partial(
                availability, agreementAvailability={"status": "NOT_AVAILABLE"}
            )
        },
        [WELL, FAILS],
        "its agreement is NOT_AVAILABLE",
        "list-foundation-model-agreement-offers",
    ),
    (models.text, TEXT, {}, [WELL, WELL], "listed", None),
    (models.text, PROFILE, {}, [WELL, WELL], "listed", None),
    (models.text, {"workers": "voice", **TEXT}, {}, [], None, None),
    (
        models.text,
        PROFILE,
        {"bedrock__GetInferenceProfile": Refusal("ResourceNotFoundException", "", 404)},
        [FAILS],
        "not known there",
        "text_model_id",
    ),
    # secret
    (secret.key, {}, {}, [], None, None),
    (secret.key, GEMINI, {}, [WELL, WELL], "has a text", None),
    (
        secret.key,
        GEMINI,
        {"secretsmanager__DescribeSecret": Refusal("ResourceNotFoundException")},
        [WELL, FAILS],
        "does not exist",
        "aws secretsmanager",
    ),
    (
        secret.key,
        GEMINI,
        {"secretsmanager__GetSecretValue": Refusal("ResourceNotFoundException")},
        [WELL, FAILS],
        "has no text",
        "put-secret-value",
    ),
    (
        secret.key,
        GEMINI,
        {"secretsmanager__GetSecretValue": {"SecretString": "sk-example\n"}},
        [WELL, FAILS],
        "a line's end",
        "put-secret-value",
    ),
    (
        secret.key,
        GEMINI,
        {"secretsmanager__GetSecretValue": {"SecretString": '{"key": "sk-example"}'}},
        [WELL, FAILS],
        "is a JSON object",
        "put-secret-value",
    ),
    (
        secret.key,
        GEMINI,
        {"secretsmanager__DescribeSecret": {"KmsKeyId": f"arn:aws:kms:{REGION}:{NUMBER}:key/1"}},
        [WELL, WELL, UNKNOWN],
        "a key of yours",
        "kms:Decrypt",
    ),
    # image
    (images.builder, {}, {}, [WELL], "docker 28.1", None),
    (images.builder, ECR, {}, [], None, None),
    (images.page, {}, {}, [WELL], "built", None),
    (images.page, {"web": "false"}, {}, [], None, None),
    (images.worker_image, {}, {}, [], None, None),
    (images.worker_image, ECR, {}, [WELL], "is there", None),
    (
        images.worker_image,
        ECR,
        {"ecr__DescribeImages": Refusal("ImageNotFoundException")},
        [FAILS],
        "is not there",
        "docker push",
    ),
    # domain
    (domain.certificate, {}, {}, [], None, None),
    (domain.certificate, DOMAIN, {}, [WELL], "ISSUED", None),
    (
        domain.certificate,
        DOMAIN,
        {"acm__DescribeCertificate": certificate(Status="PENDING_VALIDATION")},
        [FAILS],
        "PENDING_VALIDATION",
        "aws acm describe-certificate",
    ),
    (
        domain.certificate,
        DOMAIN,
        {"acm__DescribeCertificate": certificate(DomainName="*.voice.example.com")},
        [FAILS],
        "for *.voice.example.com",
        "aws acm request-certificate --domain-name voice.example.com",
    ),
    (
        domain.certificate,
        DOMAIN,
        {"acm__DescribeCertificate": Refusal("ResourceNotFoundException")},
        [FAILS],
        "does not exist",
        "aws acm request-certificate",
    ),
    (domain.zone, {}, {}, [], None, None),
    (domain.zone, DOMAIN, {}, [WELL], "example.com.", None),
    (domain.zone, DOMAIN, {"route53__GetHostedZone": zone("ample.com.")}, [FAILS], "ample.com.", "list-hosted-zones"),
    (
        domain.zone,
        DOMAIN,
        {"route53__GetHostedZone": zone("example.com.", private=True)},
        [FAILS],
        "private",
        "domain_zone_id",
    ),
    (
        domain.zone,
        DOMAIN,
        {"route53__GetHostedZone": Refusal("NoSuchHostedZone", "", 404)},
        [FAILS],
        "does not exist",
        "domain_zone_id",
    ),
    (domain.record, {}, {}, [], None, None),
    (domain.record, DOMAIN, {}, [WELL], "none", None),
    (
        domain.record,
        DOMAIN,
        {
            "route53__ListResourceRecordSets": {
                "ResourceRecordSets": [{"Name": "voice.example.com.", "Type": "A"}],
                "IsTruncated": False,
                "MaxItems": "10",
            }
        },
        [UNKNOWN],
        "A",
        "change-resource-record-sets",
    ),
]
