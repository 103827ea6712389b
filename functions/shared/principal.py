"""Principals: the one name that all sessions of a user are kept under."""

import hashlib


def principal_of(issuer: str, subject: str) -> str:
    """The principal that stands for a subject of an issuer.

    A hash, so that any subject fits into keys and none is told by a log: the first 128 bits of SHA-256 over `oidc`,
    the issuer and the subject, one a line, as 32 hexadecimal digits. The issuer is this deployment's own and has no
    line end, so that no two pairs give the same text.

    Args:
        issuer: As a token's `iss` names it.
        subject: As its `sub` does.
    """
    return hashlib.sha256(f"oidc\n{issuer}\n{subject}".encode()).hexdigest()[:32]
