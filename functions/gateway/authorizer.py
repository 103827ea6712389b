"""The authorizer of ``$connect``: who a caller is, by the token that it shows.

The token comes as a subprotocol (``Sec-WebSocket-Protocol: segue.v1, bearer.<token>``: all that a browser can set) or
in the query (``?token=<token>``). API Gateway is told the principal and the token's end, and hands both to every
function of the connection. It calls this function for every connection: results of WebSocket authorizers are not
cached, and without an identity source there is nothing that could be mixed up.

A refusal is a policy (403) and says nothing else. When the issuer does not answer, the function fails (500): the caller
may be a good one, and tries again.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger

from gateway.environment import AuthorizerEnvironment
from segue.environment import read_environment
from shared.subprotocol import offered_tokens
from shared.tokens import Bearer, IssuerUnavailable, TokenRefused, Verifier, published_keys

logger = Logger()


class Unavailable(Exception):  # noqa: N818 - says what is wrong, not that it is an error
    """Raised when the token cannot be checked now. Carries no reason: that is in the log."""


@cache
def dependencies() -> Verifier:
    """Make the verifier at the first invocation; it keeps the issuer's keys while the process is warm."""
    environment = read_environment(AuthorizerEnvironment)
    return Verifier(
        environment.token_issuer, environment.token_audience.split(","), published_keys(environment.token_keys_url)
    )


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Let a caller in or not."""
    try:
        return authorize(event, dependencies())
    except IssuerUnavailable as error:
        logger.error("issuer does not answer", reason=str(error))  # noqa: TRY400 - a trace says no more
    except Exception:  # the text of an error that leaves the function might reach the client
        logger.exception("authorizer failed")
    raise Unavailable from None


def authorize(event: Mapping[str, Any], verifier: Verifier) -> dict[str, Any]:
    """The answer to API Gateway: a policy, and what the connection's functions are told.

    Raises:
        IssuerUnavailable: whether the token is good cannot be known now.
    """
    connection = (event.get("requestContext") or {}).get("connectionId")
    try:
        bearer = verifier.verify(_token(event))
    except TokenRefused as refusal:
        logger.info("connection refused", connection=connection, reason=str(refusal))
        return _policy("Deny", event["methodArn"], "denied", {})
    logger.info("caller known", connection=connection, principal=bearer.principal)
    return _policy("Allow", event["methodArn"], bearer.principal, _context_of(bearer))


def _context_of(bearer: Bearer) -> dict[str, str]:
    return {"principal": bearer.principal, "expires_at": str(bearer.expires_at)}


def _token(event: Mapping[str, Any]) -> str:
    """The one token that the caller shows."""
    values = event.get("multiValueQueryStringParameters") or {}
    tokens: set[str] = {*offered_tokens(event), *(values.get("token") or ())}
    if len(tokens) != 1:
        raise TokenRefused("several tokens" if tokens else "no token")
    return tokens.pop()


def _policy(effect: str, resource: str, principal: str, context: dict[str, str]) -> dict[str, Any]:
    return {
        "principalId": principal,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}],
        },
        "context": context,
    }
