"""Which resources of Amazon Bedrock a model's name stands for."""

from __future__ import annotations

import re

from aws_cdk import Aws

_PROFILE = re.compile(r"(?:us|eu|apac|jp|au|ca|global|us-gov)\.(?P<model>.+)")


def model_of_profile(model_id: str | None) -> str | None:
    """The model behind an inference profile; None if it is another name."""
    profile = _PROFILE.fullmatch(model_id or "")
    return profile["model"] if profile else None


def model_arns(model_id: str) -> list[str]:
    """The resources that a policy has to name for a model: itself, or a cross-region profile and the model behind it.

    Args:
        model_id: Of a model (``amazon.nova-2-sonic-v1:0``), of a profile (``us.amazon.nova-lite-v1:0``), or an ARN.
    """
    if model_id.startswith("arn:"):
        return [model_id]
    profile = _PROFILE.fullmatch(model_id)
    if profile is None:  # foundation models belong to no account
        return [f"arn:{Aws.PARTITION}:bedrock:{Aws.REGION}::foundation-model/{model_id}"]
    return [
        f"arn:{Aws.PARTITION}:bedrock:{Aws.REGION}:{Aws.ACCOUNT_ID}:inference-profile/{model_id}",
        # The profile chooses the region.
        f"arn:{Aws.PARTITION}:bedrock:*::foundation-model/{profile['model']}",
    ]
