"""Sharing of parsed service models, names, signatures and certificates, as a plugin of pytest.

Hundreds of tests have a session and clients of their own. Each session would parse the same megabytes of service
models, and look at the signatures and the names of the same hundreds of handlers. Each opener of ``urllib`` would parse
all certificate authorities of the machine, even for an address without TLS.
"""

from __future__ import annotations

import functools
import http.client
import inspect
import os
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True, scope="session")
def service_models() -> Iterator[None]:
    """Share what all sessions of this process read and find out."""
    with pytest.MonkeyPatch.context() as patch:
        share(patch)
        yield


def share(patch: pytest.MonkeyPatch | None = None) -> None:
    """Share it.

    Args:
        patch: Undoes it; None: it stays for as long as the process lives.
    """
    import botocore.hooks
    import botocore.loaders
    import botocore.session
    import botocore.useragent

    loader = functools.cache(botocore.session.create_loader)
    names: dict[str, str] = {}
    new_aliaser = botocore.hooks.EventAliaser.__init__

    def shared(data_path: str | None = None) -> botocore.loaders.Loader:
        paths = loader(data_path).search_paths
        paths[:] = dict.fromkeys(paths)  # each of boto3's sessions appends its own
        return loader(data_path)

    def sharing_names(self: Any, event_emitter: Any, event_aliases: Any = None) -> None:
        new_aliaser(self, event_emitter, event_aliases)
        if event_aliases is None:  # the names that go with the usual ones
            self._alias_name_cache = names

    patch = patch or pytest.MonkeyPatch()
    patch.setattr(botocore.session, "create_loader", shared)
    patch.setattr(botocore.hooks.EventAliaser, "__init__", sharing_names)
    patch.setattr(botocore.hooks, "accepts_kwargs", accepts_kwargs)
    sanitized = functools.cache(botocore.useragent.sanitize_user_agent_string_component)  # fifty of them a request
    patch.setattr(botocore.useragent, "sanitize_user_agent_string_component", sanitized)


@pytest.fixture(autouse=True, scope="session")
def certificates() -> Iterator[None]:
    """Share the TLS context of openers that are given none."""
    make = http.client._create_https_context  # type: ignore[attr-defined]

    @functools.cache
    def made(version: int, *_: str | None) -> ssl.SSLContext:
        context: ssl.SSLContext = make(version)
        return context

    def shared(version: int) -> ssl.SSLContext:
        return made(version, *(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http.client, "_create_https_context", shared)
        yield


def accepts_kwargs(function: Callable[..., Any]) -> bool:
    """Tell whether a function takes any keyword arguments, as botocore does with its whole signature."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None:
        return inspect.getfullargspec(function)[2] is not None
    return bool(code.co_flags & inspect.CO_VARKEYWORDS)
