"""Sign-in of the page's users: Cognito's managed login for the deployment's own user pool."""

from __future__ import annotations

from typing import Final

from aws_cdk import Aws, Fn
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from infra.constructs.auth import REFRESH_LIFE, TOKEN_LIFE

_ID_PART: Final = 4
"""The last of the five parts of a UUID."""


class ManagedLogin(Construct):
    """The pool's sign-in pages.

    Attributes:
        origin: Where they are, and where the page fetches its tokens.
    """

    def __init__(self, scope: Construct, construct_id: str, pool: cognito.IUserPool) -> None:
        super().__init__(scope, construct_id)
        self._pool = pool
        # All pools of a region share these names: a part of the stack's own id is no other deployment's.
        unique = Fn.select(_ID_PART, Fn.split("-", Fn.select(2, Fn.split("/", Aws.STACK_ID))))
        domain = cognito.UserPoolDomain(
            self,
            "Domain",
            user_pool=pool,
            cognito_domain=cognito.CognitoDomainOptions(domain_prefix=f"segue-{unique}"),
            managed_login_version=cognito.ManagedLoginVersion.NEWER_MANAGED_LOGIN,
        )
        self.origin = domain.base_url()

    def client(self, page_url: str) -> str:
        """Add the page's client; returns its id.

        Args:
            page_url: The page's address; sign-in and sign-out lead back to it and nowhere else.
        """
        address = f"{page_url}/"
        client = cognito.UserPoolClient(
            self,
            "Client",
            user_pool=self._pool,
            # A page keeps no secret: code and PKCE.
            generate_secret=False,
            auth_flows=cognito.AuthFlow(user_srp=True),
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True),
                scopes=[cognito.OAuthScope.OPENID, cognito.OAuthScope.EMAIL],
                callback_urls=[address],
                logout_urls=[address],
            ),
            supported_identity_providers=[cognito.UserPoolClientIdentityProvider.COGNITO],
            prevent_user_existence_errors=True,
            enable_token_revocation=True,
            access_token_validity=TOKEN_LIFE,
            id_token_validity=TOKEN_LIFE,
            refresh_token_validity=REFRESH_LIFE,
        )
        # Cognito serves managed login pages only with a branding.
        cognito.CfnManagedLoginBranding(
            self,
            "Style",
            user_pool_id=self._pool.user_pool_id,
            client_id=client.user_pool_client_id,
            use_cognito_provided_values=True,
        )
        return client.user_pool_client_id
