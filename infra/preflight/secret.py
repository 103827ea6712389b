"""The provider's key in Secrets Manager. Its text is looked at and never kept, printed or compared."""

from __future__ import annotations

import json
from collections.abc import Iterator

from infra.config import Config
from infra.preflight.account import Account, RefusedError
from infra.preflight.findings import Finding, State, judged

SUBJECT = "the provider's secret"


def key(account: Account, config: Config) -> Iterator[Finding]:
    """The secret that ``provider_secret_arn`` names."""
    arn = config.provider_secret_arn
    if arn is None:
        return
    yield judged(
        "secret",
        "region of the secret",
        holds=arn.split(":")[3] == account.region,
        needed=account.region,
        found=arn.split(":")[3],
        mend=f"aws secretsmanager replicate-secret-to-regions --secret-id {arn} "
        f"--add-replica-regions Region={account.region}, and name the replica",
    )
    try:
        described = account.ask("secretsmanager", "DescribeSecret", SecretId=arn)
    except RefusedError as error:
        if error.code != "ResourceNotFoundException":
            raise
        yield _judged(arn, found="does not exist", holds=False)
        return
    if "DeletedDate" in described:
        yield _judged(arn, found="is scheduled for deletion", holds=False, mend="restore-secret")
        return
    yield from _text(account, arn)
    if described.get("KmsKeyId") and not described["KmsKeyId"].endswith("alias/aws/secretsmanager"):
        yield Finding(
            check="secret",
            subject="key of the secret",
            state=State.UNKNOWN,
            needed="tasks' execution role may decrypt with it",
            found=f"{described['KmsKeyId']}, a key of yours",
            mend="allow kms:Decrypt to the stack's execution role in the key's policy",
            page="docs/providers.md",
        )


def _text(account: Account, arn: str) -> Iterator[Finding]:
    try:
        text = account.ask("secretsmanager", "GetSecretValue", SecretId=arn).get("SecretString")
    except RefusedError as error:
        if error.code != "ResourceNotFoundException":
            raise
        text = None
    if not text or not text.strip():
        yield _judged(arn, found="has no text", holds=False)
    elif text != text.strip():
        yield _judged(arn, found="has blanks or a line's end around its text", holds=False)
    elif _is_object(text):
        yield _judged(arn, found="is a JSON object: its whole text is taken for the key", holds=False)
    else:
        yield _judged(arn, found="has a text", holds=True)


def _judged(arn: str, *, found: str, holds: bool, mend: str = "put-secret-value") -> Finding:
    option = "" if mend == "restore-secret" else " --secret-string file:///dev/stdin"
    return judged(
        "secret",
        SUBJECT,
        holds=holds,
        needed="exists, and its whole text is the provider's key",
        found=found,
        mend=f"aws secretsmanager {mend} --secret-id {arn}{option}",
        page="docs/providers.md",
    )


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
