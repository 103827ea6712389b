"""Errors of storage, translated by whether storage answered and what it answered.

    decided    a condition that does not hold, a key that is not there   passed on by ``segue.storage.aws``
    passing    throttled, in conflict, damaged, 5xx                      StorageUnavailable: sent again
    unread     no code of the service: a truncated body, a proxy's page  StorageUnavailable: the outcome is not known
    refused    a code of the service that asking again does not change   StorageRefused, with its remedy

Only a code of the service refuses. An answer without one may have followed any outcome, so the identical request is
sent again, which conditional writes make safe.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from segue.errors import SegueError, StorageRefused, StorageUnavailable

Client = TypeVar("Client")

OPERATIONS: Final = frozenset(
    {"GetItem", "UpdateItem", "Scan", "GetObject", "PutObject", "DeleteObjects", "ListObjectsV2"}
)
"""Operations that Segue calls. A refusal of any other (AssumeRole, GetRoleCredentials) is one of credentials."""

RENEW: Final = "renew or replace the AWS credentials"
COMPARE: Final = "check the AWS credentials and this machine's clock"

_BROKEN = 500
_CONFLICT = 409  # S3: another conditional write of this key is under way; DynamoDB: a transaction is
_CODE = re.compile(r"[A-Za-z][\w.]*")
"""The form of an AWS error code. Where botocore finds no code it gives the status, or nothing."""

_PASSING = frozenset(  # answered with a status of 400 and the like, though nothing is wrong with the request
    {
        "BadDigest",  # damaged on its way
        "IncompleteBody",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "SlowDown",
        "TemporaryRedirect",  # a bucket that was made a moment ago
        "Throttling",
        "ThrottlingException",
        "TransactionConflictException",
        "TooManyRequestsException",
    }
)
_NOT_ACCEPTED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
_WRONGLY_SIGNED = frozenset(
    {
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "RequestExpired",
        "SignatureDoesNotMatch",
    }
)
_NOT_THERE = frozenset(  # by name: which of them there are depends on botocore's version
    {
        "ConfigNotFound",
        "ConfigParseError",
        "InvalidConfigError",
        "LoginError",
        "MissingDependencyException",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "RefreshWithMFAUnsupportedError",
        "SSOError",
        "TokenRetrievalError",
        "UnknownCredentialError",
    }
)
_ASKED = frozenset({"CredentialRetrievalError", "HTTPClientError", "MetadataRetrievalError"})  # of credential services
_MISCONFIGURED = frozenset({"NoRegionError", "ParamValidationError"})


AWS_ERRORS: Final = (BotoCoreError, ClientError, RuntimeError)
"""Errors that a call of boto3 raises when AWS does not carry it out. botocore raises RuntimeError when renewed
credentials have expired, too."""


class Unread(BotoCoreError):  # noqa: N818 - it names what came
    """An answer that cannot be storage's own: truncated, damaged, or another server's."""

    fmt = "{problem}"


def credentials_remedy(error: Exception) -> str | None:
    """Return the remedy for credentials, if an error of boto3 is about them and waiting does not help; else None."""
    if isinstance(error, ClientError):
        foreign = error.operation_name.startswith(("Assume", "GetRole")) and not _is_transient(error)
        return remedy_of(code_of(error)) or (RENEW if foreign else None)
    if isinstance(error, RuntimeError) and "credentials" in str(error):
        return RENEW  # botocore's: the credentials that it got when it renewed them have expired, too
    return RENEW if _kinds(error) & _NOT_THERE else None


def remedy_of(code: str) -> str | None:
    """Return the remedy for credentials, if an error code of any AWS service is about them; else None."""
    if code in _WRONGLY_SIGNED:
        return COMPARE
    return RENEW if code in _NOT_ACCEPTED else None


def reason_of(error: Exception) -> str:
    """Name an error in a log line: a service's code, and the remedy if it is about credentials."""
    name = (code_of(error) if isinstance(error, ClientError) else "") or type(error).__name__
    remedy = credentials_remedy(error)
    return f"{name}: {remedy}" if remedy else name


def code_of(error: ClientError) -> str:
    """Return the code of a service's error: "" if the answer has none that can be read."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if _CODE.fullmatch(code) else ""


def is_answer(error: ClientError, codes: AbstractSet[str]) -> bool:
    """Tell whether an error is an answer of storage with one of ``codes``: its outcome is known."""
    return code_of(error) in codes and error.operation_name in OPERATIONS


def translated(error: Exception, resource: str, what: str) -> SegueError:
    """Translate an error of boto3 into Segue's.

    Args:
        error: The client's error.
        resource: The bucket or table.
        what: The key or operation, for the message.
    """
    if isinstance(error, ClientError):
        message = _message_of(error, what)
        if _is_transient(error):
            return StorageUnavailable(f"{resource}: {message}")
        return StorageRefused(resource, message, credentials_remedy(error))
    if (remedy := credentials_remedy(error)) is not None:
        return StorageRefused(resource, str(error), remedy)
    if _kinds(error) & _MISCONFIGURED:
        return StorageRefused(resource, str(error))
    if isinstance(error, BotoCoreError):
        return StorageUnavailable(f"{resource}: {what}: {error}")
    return StorageUnavailable(f"{resource}: {what}: an answer that cannot be read ({type(error).__name__}: {error})")


def not_made(error: Exception, resource: str) -> SegueError:
    """Translate an error of making a client: no region, no such profile, credentials.

    Args:
        error: boto3's error.
        resource: The table that the client is for.
    """
    if isinstance(error, ClientError) or _kinds(error) & _ASKED:
        return translated(error, resource, "credentials")
    return StorageRefused(resource, str(error), credentials_remedy(error))


def _is_transient(error: ClientError) -> bool:
    """Tell whether a retry may be answered otherwise, or storage gave no answer at all."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _BROKEN)
    code = code_of(error)
    return status >= _BROKEN or status == _CONFLICT or code in _PASSING or not code


def _message_of(error: ClientError, what: str) -> str:
    operation, said = error.operation_name, error.response.get("Error", {}).get("Message", "")
    if code := code_of(error):
        return f"{operation} of {what} answered {code}: {said}"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "?")
    return f"{operation} of {what} answered {status} without a code: truncated, or not by the service ({said[:80]!r})"


def _kinds(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def read_whole(client: Client) -> Client:
    """Make a client of S3 or DynamoDB refuse truncated answers and proxies' pages, which would read as "not there".

    Returns:
        The same client. It raises ``Unread`` (a BotoCoreError) instead; the request's outcome is unknown then.
    """
    check_answers(client.meta.events)  # type: ignore[attr-defined]  # all clients of boto3 have them
    return client


def check_answers(events: Any) -> None:
    """Have the answers of one client, or of all that a boto3 session makes from now on, checked as ``read_whole`` does.

    Args:
        events: The client's ``meta.events``, or the session's ``events``.
    """
    events.register("before-parse", _refuse_damaged, unique_id="segue-answers")


_REDIRECTIONS: Final = frozenset({301, 302, 307})
"""Statuses that botocore takes for S3's word that the bucket is in another region."""

_ROOTS: Final = {"ListObjectsV2": b"<ListBucketResult", "DeleteObjects": b"<DeleteResult"}


def _refuse_damaged(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    """Check an answer before botocore parses it.

    Raises:
        Unread: It cannot be the service's. The request may have been carried out.
    """
    name, body = operation_model.name, response_dict["body"]
    if response_dict["status_code"] in _REDIRECTIONS:
        _must_be_of_s3(name, response_dict)
    if response_dict["status_code"] >= 300:  # errors have a code, which decides
        return
    if name in _ROOTS:
        whole = _ROOTS[name] in body[:1024]
    elif operation_model.service_model.service_name == "dynamodb":
        whole = _is_object(body) and _fits_its_checksum(body, response_dict["headers"])
    else:
        return
    if not whole:
        raise Unread(problem=f"{name} was answered with something else: truncated, damaged, or not by the service")


def _must_be_of_s3(name: str, response_dict: Mapping[str, Any]) -> None:
    """Check a redirection before botocore follows it.

    botocore asks for the bucket's region (HeadBucket) when a redirection names none. A proxy redirects that request
    too, and botocore asks again, until it raises RecursionError: some 80 requests for one of ours.

    Raises:
        Unread: Neither a region nor a code of S3's is in it.
    """
    coded = name != "HeadBucket" and b"</Code>" in response_dict["body"]  # S3's answers to HEAD have no body
    if not coded and "x-amz-bucket-region" not in response_dict["headers"]:
        raise Unread(
            problem=f"{name} was redirected ({response_dict['status_code']}) to no region: by a proxy or a sign-in "
            "page, not by S3"
        )


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


def _fits_its_checksum(body: bytes, headers: Mapping[str, str]) -> bool:
    told = headers.get("x-amz-crc32")
    return told is None or zlib.crc32(body) == int(told)
