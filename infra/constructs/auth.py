"""Authentication of callers: a Cognito user pool of the deployment's own, or any issuer of OpenID Connect tokens."""

from __future__ import annotations

from typing import Final

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from infra.config import Config

PASSWORD_LENGTH: Final = 12
TOKEN_LIFE: Final = Duration.hours(1)
"""A connection lives for two hours at most, so that a client renews its token once."""

REFRESH_LIFE: Final = Duration.days(30)


class Auth(Construct):
    """The issuer that the authorizer trusts.

    It belongs to what outlives every deployment: a principal is made from the issuer's name and the subject's, so that
    a new pool would leave every session without an owner.

    Attributes:
        issuer: What tokens name as their issuer.
        audience: For whom they must be; several with commas between them.
        keys_url: Where the issuer publishes its keys.
        pool: The user pool; None with another issuer.
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config) -> None:
        super().__init__(scope, construct_id)
        auth = config.auth
        self.pool: cognito.UserPool | None = None
        if auth.issuer is None or auth.audience is None:
            self.pool = pool = self._pool(config)
            client = self._client(pool)
            self.issuer = f"https://cognito-idp.{Stack.of(self).region}.{Stack.of(self).url_suffix}/{pool.user_pool_id}"
            self.audience = client.user_pool_client_id
            CfnOutput(Stack.of(self), "UserPoolId", value=pool.user_pool_id)
            CfnOutput(Stack.of(self), "UserPoolClientId", value=client.user_pool_client_id)
        else:
            self.issuer, self.audience = auth.issuer, auth.audience
        self.keys_url = auth.jwks_url or f"{self.issuer}/.well-known/jwks.json"

    def audiences(self, page_client_id: str | None) -> str:
        """The audiences of tokens that let a caller in, the page's among them; with commas between them."""
        return ",".join(filter(None, [self.audience, page_client_id]))

    def _pool(self, config: Config) -> cognito.UserPool:
        keeps_data = config.target.keeps_data
        return cognito.UserPool(
            self,
            "Users",
            user_pool_name=f"segue-{config.stage}",
            feature_plan=cognito.FeaturePlan.ESSENTIALS,
            # Access is the owner's decision, since each conversation costs money.
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(username=True, email=True),
            sign_in_case_sensitive=False,
            auto_verify=cognito.AutoVerifiedAttrs(email=True),
            keep_original=cognito.KeepOriginalAttrs(email=True),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            password_policy=cognito.PasswordPolicy(
                min_length=PASSWORD_LENGTH,
                require_digits=True,
                require_lowercase=True,
                require_uppercase=True,
                require_symbols=True,
                temp_password_validity=Duration.days(3),
            ),
            mfa=cognito.Mfa.OPTIONAL,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            deletion_protection=keeps_data,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if keeps_data else RemovalPolicy.DESTROY,
        )

    def _client(self, pool: cognito.UserPool) -> cognito.UserPoolClient:
        # A terminal can keep no secret, and needs no page to sign in on: SRP, or a password over TLS.
        return pool.add_client(
            "Client",
            auth_flows=cognito.AuthFlow(user_srp=True, user_password=True),
            disable_o_auth=True,
            generate_secret=False,
            prevent_user_existence_errors=True,
            enable_token_revocation=True,
            access_token_validity=TOKEN_LIFE,
            id_token_validity=TOKEN_LIFE,
            refresh_token_validity=REFRESH_LIFE,
        )
