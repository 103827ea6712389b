"""A certificate for loopback, from an authority that lives as long as the fake that uses it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

from local.fakes.fake import LOOPBACK


@dataclass(frozen=True)
class Certificate:
    """Files that a server needs, and those that its clients trust.

    Attributes:
        context: For the server.
        authority: File that clients give as SSL_CERT_FILE.
    """

    context: ssl.SSLContext
    authority: Path


def make(folder: Path, *protocols: str) -> Certificate:
    """Make a certificate for 127.0.0.1 and localhost.

    Args:
        folder: Where to put the authority's certificate.
        *protocols: What the server speaks, for ALPN.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(LOOPBACK, "localhost").configure_cert(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return Certificate(context, path)
