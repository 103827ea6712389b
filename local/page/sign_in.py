"""OpenID Connect's code flow with PKCE in front of this machine's issuer, for the page alone.

    page                            /authorize                        /token
     │ login_hint = one-time code       │                                │
     ├─────────────────────────────────▶│ code taken, never good again   │
     │◀──── redirect to the page, code ─┤                                │
     │ code, verifier                                                    │
     ├──────────────────────────────────────────────────────────────────▶│
     │◀───────────────────────────────────────── id token, refresh token ┤

There is nothing to type: who holds the link that the terminal printed is the user. The only redirect address is the
page's own, under the name by which the browser reaches this server.
"""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp import web
from yarl import URL

from local.deployment.issuer import AUDIENCE, ISSUER, Issuer
from local.page.grants import Grants, SignIn
from local.page.origins import own_origin
from local.settings import KEYS_PATH

PREFIX: Final = "/issuer"
DISCOVERY_PATH: Final = f"{PREFIX}/.well-known/openid-configuration"
CLIENT_ID: Final = AUDIENCE
"""Client id of the page. The id token's ``aud`` is the client (OpenID Connect Core 2), and the authorizer wants it."""

SCOPES: Final = ("openid",)
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class SignInRoutes:
    """The sign-in's part of the server."""

    def __init__(self, issuer: Issuer, grants: Grants) -> None:
        self._issuer = issuer
        self._grants = grants

    def routes(self) -> list[web.RouteDef]:
        """The routes to add."""
        return [
            web.get(DISCOVERY_PATH, self.discovery),
            web.get(PREFIX + KEYS_PATH, self.keys),
            web.get(f"{PREFIX}/authorize", self.authorize),
            web.post(f"{PREFIX}/token", self.token),
            web.post(f"{PREFIX}/revoke", self.revoke),
            web.get(f"{PREFIX}/logout", self.log_out),
        ]

    async def discovery(self, request: web.Request) -> web.Response:
        """Answer with what OpenID Connect Discovery 1.0 wants to know."""
        base_url = f"{own_origin(request)}{PREFIX}"
        return web.json_response({
            "issuer": ISSUER,
            "authorization_endpoint": f"{base_url}/authorize",
            "token_endpoint": f"{base_url}/token",
            "revocation_endpoint": f"{base_url}/revoke",
            "jwks_uri": f"{base_url}{KEYS_PATH}",
            "end_session_endpoint": f"{base_url}/logout",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "scopes_supported": list(SCOPES),
        })  # fmt: skip

    async def keys(self, _: web.Request) -> web.Response:
        """Answer with the key set (RFC 7517)."""
        return web.json_response(self._issuer.published())

    async def authorize(self, request: web.Request) -> web.Response:
        """Send the browser back to the page, with a code or with the reason why there is none."""
        query = request.query
        redirect_uri = query.get("redirect_uri", "")
        if query.get("client_id") != CLIENT_ID or redirect_uri != _page(request):
            # Never redirected: the address may be an attacker's (RFC 6749, 4.1.2.1).
            return web.Response(status=400, text="client_id or redirect_uri is not the page's.\n", headers=NO_STORE)
        answer = self._authorization_answer(query, redirect_uri)
        target = URL(redirect_uri).with_query({**answer, "state": query.get("state", ""), "iss": ISSUER})
        return web.Response(status=302, headers={"Location": str(target), **NO_STORE})

    def _authorization_answer(self, query: Any, redirect_uri: str) -> dict[str, str]:
        if query.get("response_type") != "code":
            return {"error": "unsupported_response_type"}
        challenge = query.get("code_challenge", "")
        if query.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(challenge):
            return {"error": "invalid_request", "error_description": "PKCE with S256 is required"}
        if "openid" not in query.get("scope", "").split():
            return {"error": "invalid_scope"}
        hint = query.get("login_hint", "")
        code = self._grants.authorize(hint, redirect_uri, challenge, query.get("nonce")) if hint else None
        return {"error": "login_required"} if code is None else {"code": code}

    async def token(self, request: web.Request) -> web.Response:
        """Exchange a code or a refresh token for tokens (RFC 6749, 4.1.3 and 6)."""
        form = await request.post()
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        if fields.get("client_id") != CLIENT_ID:
            return _refused("invalid_client")
        kind = fields.get("grant_type")
        if kind == "authorization_code":
            authorization = self._grants.exchange(
                fields.get("code", ""), fields.get("redirect_uri", ""), fields.get("code_verifier", "")
            )
            if authorization is None:
                return _refused("invalid_grant")
            return self._tokens(
                authorization.sign_in, self._grants.refresh_token(authorization.sign_in), authorization.nonce
            )
        if kind == "refresh_token":
            refresh_token = fields.get("refresh_token", "")
            sign_in = self._grants.refreshed(refresh_token)
            return _refused("invalid_grant") if sign_in is None else self._tokens(sign_in, refresh_token, None)
        return _refused("unsupported_grant_type")

    def _tokens(self, sign_in: SignIn, refresh_token: str, nonce: str | None) -> web.Response:
        claims = {} if nonce is None else {"nonce": nonce}
        return web.json_response(
            {
                "access_token": self._issuer.token(sign_in.subject, sign_in.seconds),
                "token_type": "Bearer",
                "expires_in": sign_in.seconds,
                "id_token": self._issuer.token(sign_in.subject, sign_in.seconds, **claims),
                "refresh_token": refresh_token,
                "scope": " ".join(SCOPES),
            },
            headers=NO_STORE,
        )

    async def revoke(self, request: web.Request) -> web.Response:
        """Forget a refresh token (RFC 7009); the answer is the same for one that is none."""
        form = await request.post()
        if form.get("client_id") != CLIENT_ID:
            return _refused("invalid_client")
        self._grants.revoke(str(form.get("token", "")))
        return web.Response(headers=NO_STORE)

    async def log_out(self, request: web.Request) -> web.Response:
        """Send the browser back to the page, which has had its refresh token revoked."""
        target = request.query.get("post_logout_redirect_uri") or request.query.get("logout_uri", "")
        if target != _page(request):
            return web.Response(status=400, text="the address to go back to is not the page's.\n")
        return web.Response(status=302, headers={"Location": target, **NO_STORE})


def _page(request: web.Request) -> str:
    """Address of the page, under the name by which the browser reaches this server."""
    return f"{own_origin(request)}/"


def _refused(error: str) -> web.Response:
    return web.json_response({"error": error}, status=400, headers=NO_STORE)
