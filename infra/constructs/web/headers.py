"""Headers of the page's answers: what its scripts may load and call, and the microphone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudfront as cloudfront
from constructs import Construct

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "worker-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "media-src": "'self' blob:",
    "font-src": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
"""Nothing that is written into the page runs, and nothing comes from elsewhere."""

PERMISSIONS: Final = ", ".join(
    [
        "microphone=(self)",
        *(
            f"{name}=()"
            for name in ("camera", "display-capture", "geolocation", "payment", "usb", "serial", "hid", "bluetooth")
        ),
    ]
)
FRESH: Final = "no-cache"
"""The page and its settings: asked for again each time, so that a deployment is seen at the next reload."""
FOREVER: Final = "public, max-age=31536000, immutable"
"""Files whose names have their content's hash."""


def content_security_policy(connects_to: Sequence[str]) -> str:
    """The policy's text.

    Args:
        connects_to: Origins that the page's scripts may call, beside its own.
    """
    policy = {**_POLICY, "connect-src": " ".join(["'self'", *connects_to])}
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())


def headers(
    scope: Construct, construct_id: str, name: str, policy: str, caching: str
) -> cloudfront.ResponseHeadersPolicy:
    """Headers of every answer.

    Args:
        scope: Where they are added.
        construct_id: Under which name.
        name: Its name in the account, in all regions together.
        policy: The content security policy.
        caching: ``Cache-Control``.
    """
    custom = {
        "Permissions-Policy": PERMISSIONS,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": caching,
    }
    return cloudfront.ResponseHeadersPolicy(
        scope,
        construct_id,
        response_headers_policy_name=name,
        comment="Segue: the page to talk on",
        security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
            content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                content_security_policy=policy, override=True
            ),
            content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
            frame_options=cloudfront.ResponseHeadersFrameOptions(
                frame_option=cloudfront.HeadersFrameOption.DENY, override=True
            ),
            referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
            ),
            strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                access_control_max_age=Duration.days(365), override=True
            ),
        ),
        custom_headers_behavior=cloudfront.ResponseCustomHeadersBehavior(
            custom_headers=[
                cloudfront.ResponseCustomHeader(header=name, value=value, override=True)
                for name, value in custom.items()
            ]
        ),
    )
