"""The page's files: a private bucket, and CloudFront before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as deployment
from constructs import Construct

from infra.config import Config
from infra.constructs.log_groups import log_group
from infra.constructs.web.headers import FOREVER, FRESH, content_security_policy, headers


class PageFiles(Construct):
    """Bucket, distribution and what is in them.

    Attributes:
        bucket: The files; read by the distribution alone.
        distribution: Where browsers find them.
        url: The page's address, without the ``/`` at its end.
        upload: Fills the bucket. What else may fail has to come before it: a bucket with files in it cannot be taken
            away, and a first deployment could not go back.
    """

    def __init__(
        self, scope: Construct, construct_id: str, config: Config, *, files: Path, connects_to: Sequence[str]
    ) -> None:
        """Add the page.

        Args:
            scope: Where.
            construct_id: Under which name.
            config: The deployment.
            files: The built page.
            connects_to: Origins that its scripts may call.
        """
        super().__init__(scope, construct_id)
        self.bucket = s3.Bucket(
            self,
            "Files",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            # A bucket that is not empty cannot be deleted, and the page is built again in a minute.
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        self.distribution = self._distribution(config, content_security_policy(connects_to))
        self.url = f"https://{self.distribution.distribution_domain_name}"
        self.upload = deployment.BucketDeployment(
            self,
            "Upload",
            sources=[deployment.Source.asset(str(files))],
            destination_bucket=self.bucket,
            # A page that is open goes on finding its files, and the settings are not among those that are built.
            prune=False,
            log_group=log_group(self, "UploadLogs", config, "cdk/page"),
        )
        self.upload.node.add_dependency(self.distribution)

    def _distribution(self, config: Config, policy: str) -> cloudfront.Distribution:
        # CloudFront's names are the account's, in all regions together; CDK's own say the stack and not the region.
        name = f"segue-{config.stage}-{Aws.REGION}"
        access = cloudfront.S3OriginAccessControl(self, "Access", origin_access_control_name=name)
        origin = origins.S3BucketOrigin.with_origin_access_control(self.bucket, origin_access_control=access)

        def behavior(
            cache: cloudfront.ICachePolicy, answers: cloudfront.ResponseHeadersPolicy
        ) -> cloudfront.BehaviorOptions:
            return cloudfront.BehaviorOptions(
                origin=origin,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD,
                cache_policy=cache,
                response_headers_policy=answers,
            )

        page = behavior(
            cloudfront.CachePolicy.CACHING_DISABLED, headers(self, "PageHeaders", f"{name}-page", policy, FRESH)
        )
        assets = behavior(
            cloudfront.CachePolicy.CACHING_OPTIMIZED, headers(self, "AssetHeaders", f"{name}-assets", policy, FOREVER)
        )
        return cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"Segue {config.stage}: the page to talk on",
            default_root_object="index.html",
            default_behavior=page,
            additional_behaviors={"/assets/*": assets},
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
        )
