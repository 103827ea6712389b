"""The authorizer with an issuer whose tokens it takes, for the tests of it."""

from __future__ import annotations

from contextlib import contextmanager

from gateway import authorizer
from tests.support.issuer import AUDIENCE, ISSUER, publishing


@contextmanager
def authorizing(issuer, monkeypatch, audience=AUDIENCE):
    """Let the authorizer read an environment that names an issuer; yields the server of its keys."""
    with publishing(issuer) as server:
        monkeypatch.setenv("SEGUE_TOKEN_ISSUER", ISSUER)
        monkeypatch.setenv("SEGUE_TOKEN_AUDIENCE", audience)
        monkeypatch.setenv("SEGUE_TOKEN_KEYS_URL", server.url)
        authorizer.dependencies.cache_clear()
        yield server
        authorizer.dependencies.cache_clear()
