"""This machine's own issuer: whose tokens the deployed authorizer believes."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace

import aiohttp
import jwt
import pytest
from click.testing import CliRunner

from infra.config import from_context
from local.cli import main
from local.deployment.issuer import AUDIENCE, ISSUER, Issuer, principal
from local.settings import KEYS_PATH, Settings
from local.stack.control import Server
from shared.tokens import TokenRefused, Verifier


class Keys:
    """Finds keys in a set, as the authorizer's client does in a published one."""

    def __init__(self, issuer: Issuer) -> None:
        self._set = jwt.PyJWKSet.from_dict(json.loads(json.dumps(issuer.published())))

    def get_signing_key(self, kid: str) -> jwt.PyJWK:
        return self._set[kid]


@pytest.fixture
def issuer(settings):
    return Issuer(settings)


def test_tokens_of_the_local_issuer_pass_the_gateways_check(issuer):
    verifier = Verifier(ISSUER, [AUDIENCE], Keys(issuer))
    assert verifier.verify(issuer.token()).principal == principal()
    assert verifier.verify(issuer.token("alice", 60)).principal == principal("alice") != principal()
    with pytest.raises(TokenRefused):
        verifier.verify(issuer.token("alice", -60))


def test_the_local_stage_trusts_the_name_it_uses():
    auth = from_context({"stage": "local"}).auth
    assert (auth.mode, auth.issuer, auth.audience) == ("oidc", ISSUER, AUDIENCE)


def test_the_key_stays_and_only_its_owner_can_read_it(issuer, settings):
    token = issuer.token()
    again = Issuer(settings)
    assert Verifier(ISSUER, [AUDIENCE], Keys(again)).verify(token)
    (file,) = settings.home.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_another_folders_key_is_another_and_has_another_name(issuer, settings):
    other = Issuer(replace(settings, home=settings.home / "other"))
    assert jwt.get_unverified_header(other.token())["kid"] != jwt.get_unverified_header(issuer.token())["kid"]


def test_issuer_publishes_the_public_key_only(issuer):
    (key,) = issuer.published()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


async def test_supervisor_publishes_the_issuers_keys(issuer):
    class Stack:
        pass

    stack = Stack()
    stack.issuer = issuer
    server = Server(stack)
    await server.start()
    try:
        assert server.keys_url == server.url + KEYS_PATH
        async with aiohttp.ClientSession() as http, http.get(server.keys_url) as answer:
            assert await answer.json() == issuer.published()
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}/status") as answer:
            assert answer.status == 403
    finally:
        await server.stop()


def test_the_command_prints_a_token(settings):
    done = CliRunner().invoke(
        main, ["--home", str(settings.home), "token", "--subject", "bob", "--expires", "60"], catch_exceptions=False
    )
    claims = jwt.decode(done.output.strip(), options={"verify_signature": False})
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("bob", 60)


def test_a_new_home_is_readable_only_by_its_owner(tmp_path):
    settings = replace(Settings(), home=tmp_path / "some" / "home")
    before = os.umask(0)
    try:
        Issuer(settings).token()
        assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700
        settings.home.chmod(0o750)
        settings.make_home()
    finally:
        os.umask(before)
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o750, "one that was there keeps its mode"
