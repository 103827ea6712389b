"""The page's sign-in: OpenID Connect with PKCE, a link that is good once, and nothing for other websites."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import jwt
import pytest
from yarl import URL

from local.deployment.issuer import AUDIENCE, ISSUER, Issuer, principal
from local.page.grants import CODE_SECONDS, Grants, SignIn, Store, challenge_of
from local.page.server import PageServer
from shared.tokens import Verifier


@dataclass
class Browser:
    """A browser that shows the page, and nothing else of it."""

    http: aiohttp.ClientSession
    server: PageServer
    verifier: str = "v" * 43

    @property
    def origin(self) -> str:
        return self.server.url.rstrip("/")

    def code(self, link: str) -> str:
        return URL(link).fragment.removeprefix("code=")

    async def authorize(self, one_time_code: str, **changed: str | None) -> aiohttp.ClientResponse:
        asked: dict[str, str | None] = {
            "response_type": "code", "client_id": AUDIENCE, "redirect_uri": self.server.url, "scope": "openid",
            "state": "s", "nonce": "n", "code_challenge": challenge_of(self.verifier).decode(),
            "code_challenge_method": "S256", "login_hint": one_time_code,
        }  # fmt: skip
        query = {name: value for name, value in (asked | changed).items() if value is not None}
        return await self.http.get(f"{self.origin}/issuer/authorize", params=query, allow_redirects=False)

    async def token(self, headers: dict[str, str] | None = None, **form: str) -> tuple[int, dict[str, Any]]:
        form = {"client_id": AUDIENCE, **form}
        async with self.http.post(f"{self.origin}/issuer/token", data=form, headers=headers) as answer:
            return answer.status, await answer.json() if answer.content_type == "application/json" else {}

    async def exchange(self, code: str, /, **changed: str) -> tuple[int, dict[str, Any]]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.server.url,
                "code_verifier": self.verifier}  # fmt: skip
        return await self.token(**(form | changed))


def answered(redirect: aiohttp.ClientResponse) -> dict[str, str]:
    """The answer in a redirect to the page."""
    return dict(URL(redirect.headers["Location"]).query)


class Published:
    def __init__(self, keys: dict[str, Any]) -> None:
        self._set = jwt.PyJWKSet.from_dict(keys)

    def get_signing_key(self, kid: str) -> jwt.PyJWK:
        return self._set[kid]


@pytest.fixture
async def browser(settings) -> AsyncIterator[Browser]:
    server = PageServer(Issuer(settings), lambda: "ws://127.0.0.1:9/", folder=settings.home)
    await server.start(0)
    async with aiohttp.ClientSession() as http:
        yield Browser(http, server)
    await server.stop()


async def test_a_link_signs_in_and_its_token_passes_the_gateways_check(browser):
    redirect = await browser.authorize(browser.code(browser.server.link("alice", 60)))
    assert redirect.status == 302
    assert redirect.headers["Location"].startswith(browser.server.url + "?")
    assert answered(redirect).items() >= {"state": "s", "iss": ISSUER}.items()

    status, tokens = await browser.exchange(answered(redirect)["code"])
    assert (status, tokens["token_type"], tokens["expires_in"]) == (200, "Bearer", 60)
    async with browser.http.get(f"{browser.origin}/issuer/.well-known/openid-configuration") as answer:
        facts = await answer.json()
    async with browser.http.get(facts["jwks_uri"]) as answer:
        verifier = Verifier(ISSUER, [AUDIENCE], Published(await answer.json()))
    assert verifier.verify(tokens["id_token"]).principal == principal("alice")
    assert jwt.decode(tokens["id_token"], options={"verify_signature": False})["nonce"] == "n"
    assert facts["issuer"] == ISSUER

    status, renewed = await browser.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert status == 200
    assert verifier.verify(renewed["id_token"]).principal == principal("alice")


async def test_a_link_is_good_once(browser):
    code = browser.code(browser.server.link())
    assert "code" in answered(await browser.authorize(code))
    assert answered(await browser.authorize(code))["error"] == "login_required"


@pytest.mark.parametrize("hint", [None, "", "guess"])
async def test_a_sign_in_without_a_link_gets_no_code(browser, hint):
    answer = answered(await browser.authorize("", login_hint=hint))
    assert (answer["error"], answer["state"], "code" in answer) == ("login_required", "s", False)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "email"}, "invalid_scope"),
    ],
)
async def test_a_request_that_is_not_the_pages_kind_uses_up_no_link(browser, changed, error):
    code = browser.code(browser.server.link())
    assert answered(await browser.authorize(code, **changed))["error"] == error
    assert "code" in answered(await browser.authorize(code))


@pytest.mark.parametrize("address", ["https://evil.example/", "http://127.0.0.1:1/", "{page}x", "{page}?next=/", ""])
async def test_a_code_goes_to_no_other_address_than_the_pages(browser, address):
    code = browser.code(browser.server.link())
    answer = await browser.authorize(code, redirect_uri=address.format(page=browser.server.url))
    assert answer.status == 400
    assert "Location" not in answer.headers
    assert "code" in answered(await browser.authorize(code)), "and the link is still good"


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:1/"},
        {"code": "guess"},
        {"client_id": "other"},
        {"grant_type": "password"},
    ],
    ids=str,
)
async def test_a_sign_in_code_is_refused_for_another_page(browser, changed):
    code = answered(await browser.authorize(browser.code(browser.server.link())))["code"]
    status, answer = await browser.exchange(code, **changed)
    assert status == 400
    assert "id_token" not in answer


async def test_a_code_is_good_once_and_a_minute(settings):
    now = 0.0
    grants = Grants(lambda: now)
    challenge = challenge_of("verifier").decode()

    def code() -> str:
        made = grants.authorize(grants.link(SignIn("local", 60)), "http://here/", challenge, None)
        assert made is not None
        return made

    first = code()
    assert grants.exchange(first, "http://here/", "verifier") is not None
    assert grants.exchange(first, "http://here/", "verifier") is None
    late = code()
    now = CODE_SECONDS + 1
    assert grants.exchange(late, "http://here/", "verifier") is None


async def test_a_refresh_token_that_was_revoked_is_good_no_more(browser):
    code = answered(await browser.authorize(browser.code(browser.server.link())))["code"]
    _, tokens = await browser.exchange(code)
    assert (await browser.token(grant_type="refresh_token", refresh_token="guess"))[0] == 400
    grants = Grants()
    kept = grants.refresh_token(SignIn("local", 60))
    assert grants.refreshed(kept) == SignIn("local", 60)
    grants.revoke(kept)
    assert grants.refreshed(kept) is None
    assert tokens["refresh_token"] != kept


async def test_a_page_that_signs_out_has_its_refresh_token_revoked(browser):
    code = answered(await browser.authorize(browser.code(browser.server.link())))["code"]
    _, tokens = await browser.exchange(code)
    kept = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await browser.token(**kept))[0] == 200
    async with browser.http.get(f"{browser.origin}/issuer/.well-known/openid-configuration") as answer:
        address = (await answer.json())["revocation_endpoint"]
    for client_id, status in [("other", 400), (AUDIENCE, 200), (AUDIENCE, 200)]:
        form = {"client_id": client_id, "token": tokens["refresh_token"]}
        async with browser.http.post(address, data=form) as answer:
            assert answer.status == status
    assert (await browser.token(**kept))[0] == 400


def test_the_oldest_is_forgotten_when_there_are_too_many():
    store = Store[int](limit=2)
    names = [store.put(number) for number in range(3)]
    assert [store.find(name) for name in names] == [None, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},  # DNS rebinding
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "127.0.0.1@evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},  # another server of this machine's
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "object"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/", "/settings.json", "/issuer/authorize", "/issuer/token", "/socket"])
async def test_another_website_gets_nothing(browser, headers, path):
    method = "POST" if path.endswith("token") else "GET"
    async with browser.http.request(method, browser.origin + path, headers=headers) as answer:
        assert answer.status == 403
        assert (await answer.text()).startswith("refused: ")
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_another_website_uses_up_no_code(browser):
    code = answered(await browser.authorize(browser.code(browser.server.link())))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": browser.server.url,
            "code_verifier": browser.verifier}  # fmt: skip
    assert (await browser.token({"Origin": "https://evil.example"}, **form))[0] == 403
    assert (await browser.token({"Origin": browser.origin}, **form))[0] == 200


async def test_a_link_on_another_website_may_open_the_page(browser, settings):
    settings.home.mkdir(exist_ok=True)
    (settings.home / "index.html").write_text("<!doctype html>")
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    async with browser.http.get(browser.server.url, headers=headers) as answer:
        assert answer.status == 200
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert f"connect-src 'self' {browser.server.socket_url};" in policy
    assert "frame-ancestors 'none'" in policy


async def test_under_another_loopback_name_all_addresses_have_that_name(browser):
    port = browser.server.port
    async with browser.http.get(f"{browser.origin}/settings.json", headers={"Host": f"localhost:{port}"}) as answer:
        facts = await answer.json()
    assert facts["url"] == f"ws://localhost:{port}/socket"
    assert facts["discovery"] == f"http://localhost:{port}/issuer/.well-known/openid-configuration"
    async with browser.http.get(facts["discovery"], headers={"Host": f"localhost:{port}"}) as answer:
        assert (await answer.json())["token_endpoint"] == f"http://localhost:{port}/issuer/token"


async def test_a_page_that_is_not_built_says_how(browser):
    async with browser.http.get(browser.server.url) as answer:
        assert (answer.status, "make setup" in await answer.text()) == (503, True)


async def test_signing_out_goes_back_only_to_the_page(browser):
    address = f"{browser.origin}/issuer/logout"
    query = {"post_logout_redirect_uri": browser.server.url}
    async with browser.http.get(address, params=query, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, browser.server.url)
    query = {"logout_uri": "https://evil.example/"}
    async with browser.http.get(address, params=query, allow_redirects=False) as answer:
        assert answer.status == 400


def test_the_challenge_is_the_one_of_the_standard():
    # RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == b"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    random = secrets.token_urlsafe(32)
    assert base64.urlsafe_b64decode(challenge_of(random) + b"=") == hashlib.sha256(random.encode()).digest()
