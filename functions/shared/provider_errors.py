"""Kinds of providers' errors: what a caller is told, and what an operator reads.

Told apart by the names and numbers that errors carry, so that no provider's package has to be imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final


class Kind(Enum):
    """The kind of an error."""

    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    DISCONNECTED = "disconnected"
    ACCESS = "access"
    REGION = "region"
    CREDENTIALS = "credentials"
    CONTENT = "content"
    REQUEST = "request"
    UNKNOWN = "unknown"


class ProviderRefusal(Exception):  # noqa: N818 - it says what the provider did
    """A provider's refusal, where Strands has no error for it.

    Attributes:
        code: The provider's own code.
        about: Which part of what was sent it is about.
    """

    def __init__(self, code: str, about: str) -> None:
        """Keep both; neither holds anything of the conversation."""
        super().__init__(f"{code} ({about})")
        self.code = code
        self.about = about


class AdditionRefused(ProviderRefusal):
    """A provider's refusal of a message that was added to its connection: it does not know the whole history."""


@dataclass(frozen=True, slots=True)
class ProviderError:
    """An error as clients, dashboards and log lines show it.

    Attributes:
        kind: What happened.
        code: Of the ``error`` frame.
        message: For people; nothing of the provider's own text is in it.
        retryable: Whether the same may work when it is tried again.
        metric: What is counted.
    """

    kind: Kind
    code: str
    message: str
    retryable: bool
    metric: str


ERRORS: Final[Mapping[Kind, ProviderError]] = {
    error.kind: error
    for error in (
        ProviderError(
            Kind.THROTTLED,
            "model_throttled",
            "the model has too much to do; try again in a moment",
            True,  # noqa: FBT003 - a table
            "ModelThrottled",
        ),
        ProviderError(
            Kind.UNAVAILABLE,
            "model_unavailable",
            "the model's provider does not answer; try again in a moment",
            True,  # noqa: FBT003 - a table
            "ModelUnavailable",
        ),
        ProviderError(
            Kind.DISCONNECTED,
            "model_unavailable",
            "the connection to the model was lost; it is being restored",
            True,  # noqa: FBT003 - a table
            "ModelDisconnected",
        ),
        ProviderError(
            Kind.ACCESS,
            "model_access",
            "this assistant has no access to its model; its operator has to grant it",
            False,  # noqa: FBT003 - a table
            "ModelAccessDenied",
        ),
        ProviderError(
            Kind.REGION,
            "model_access",
            "this assistant's model does not exist where it is asked for; its operator has to correct it",
            False,  # noqa: FBT003 - a table
            "ModelNotFound",
        ),
        ProviderError(
            Kind.CREDENTIALS,
            "model_access",
            "this assistant's credentials for its model are not valid; its operator has to renew them",
            False,  # noqa: FBT003 - a table
            "ModelCredentialsInvalid",
        ),
        ProviderError(
            Kind.CONTENT,
            "content_refused",
            "the model does not answer this",
            False,  # noqa: FBT003 - a table
            "ModelContentRefused",
        ),
        ProviderError(
            Kind.REQUEST,
            "model_failed",
            "the model did not take what it was sent",
            True,  # noqa: FBT003 - a table
            "ModelRequestRefused",
        ),
        ProviderError(
            Kind.UNKNOWN,
            "internal",
            "something went wrong; try again",
            True,  # noqa: FBT003 - a table
            "ModelFailed",
        ),
    )
}
"""The texts and codes of each kind. ``docs/providers.md`` has a line for each; a test compares the two."""

_NAMES: Final[Mapping[str, Kind]] = {
    # Bedrock, as its client calls them: in answers and, with another prefix, within streams.
    "ThrottlingException": Kind.THROTTLED,
    "ServiceQuotaExceededException": Kind.THROTTLED,
    "ModelThrottledException": Kind.THROTTLED,
    "ServiceUnavailableException": Kind.UNAVAILABLE,
    "InternalServerException": Kind.UNAVAILABLE,
    "ModelStreamErrorException": Kind.UNAVAILABLE,
    "ModelErrorException": Kind.UNAVAILABLE,
    "ModelNotReadyException": Kind.UNAVAILABLE,
    "AccessDeniedException": Kind.ACCESS,
    "ResourceNotFoundException": Kind.REGION,
    "ValidationException": Kind.REQUEST,
    "ExpiredTokenException": Kind.CREDENTIALS,
    "UnrecognizedClientException": Kind.CREDENTIALS,
    "InvalidSignatureException": Kind.CREDENTIALS,
    "NoCredentialsError": Kind.CREDENTIALS,
    # Connections.
    "ConnectionClosedError": Kind.DISCONNECTED,
    "ConnectionClosedOK": Kind.DISCONNECTED,
    "ConnectionResetError": Kind.DISCONNECTED,
    "BrokenPipeError": Kind.DISCONNECTED,
    "AwsCrtError": Kind.DISCONNECTED,
    "StreamLost": Kind.DISCONNECTED,
    "ConnectionRefusedError": Kind.UNAVAILABLE,
    "gaierror": Kind.UNAVAILABLE,
    "TimeoutError": Kind.UNAVAILABLE,
}

_CODES: Final[Mapping[str, Kind]] = {
    # OpenAI's codes of errors and of failed responses.
    "rate_limit_exceeded": Kind.THROTTLED,
    "insufficient_quota": Kind.THROTTLED,
    "server_error": Kind.UNAVAILABLE,
    "invalid_api_key": Kind.CREDENTIALS,
    "authentication_error": Kind.CREDENTIALS,
    "model_not_found": Kind.REGION,
    "content_filter": Kind.CONTENT,
    "content_policy_violation": Kind.CONTENT,
    # Gemini's reason for a turn in which it made a tool call that it cannot read itself.
    "MALFORMED_FUNCTION_CALL": Kind.UNKNOWN,
}

_NUMBERS: Final[Mapping[int, Kind]] = {
    # HTTP, at the opening of a WebSocket.
    400: Kind.REQUEST,
    401: Kind.CREDENTIALS,
    403: Kind.ACCESS,
    404: Kind.REGION,
    429: Kind.THROTTLED,
    # Close codes of a WebSocket: RFC 6455, section 7.4.1.
    1001: Kind.DISCONNECTED,
    1006: Kind.DISCONNECTED,
    1007: Kind.REQUEST,
    1008: Kind.REQUEST,
    1011: Kind.UNAVAILABLE,
    1012: Kind.UNAVAILABLE,
    1013: Kind.THROTTLED,
}

_WORDS: Final[tuple[tuple[str, Kind], ...]] = (
    # Providers put several meanings into one name or number; only their text tells them apart.
    (r"quota|too many requests|rate limit|throttl", Kind.THROTTLED),
    (r"api[ _]key|security token|credentials|unauthenticated|signature", Kind.CREDENTIALS),
    (r"not found for api|model identifier|is not supported for|does(?:n't| not) exist|unknown model", Kind.REGION),
    (r"on-demand throughput", Kind.REGION),  # Bedrock's word for a model that an inference profile alone reaches
    (r"access to the model|not authorized|permission", Kind.ACCESS),
    (r"safety|content (?:policy|filter)|blocked|guardrail|prohibited", Kind.CONTENT),
)


def classify(error: BaseException) -> ProviderError:
    """Say what a provider's error means.

    Args:
        error: What Strands' model raised. Its causes are looked at, too.
    """
    for cause in _causes(error):
        if (kind := _kind(cause)) is not None:
            return ERRORS[kind]
    # Strands says this one with an error that says nothing by its name.
    return ERRORS[Kind.CREDENTIALS if "no AWS credentials" in str(error) else Kind.UNKNOWN]


def about_tools(error: BaseException) -> bool:
    """Return true if a refusal names the tools."""
    return any(re.search(r"tool|function", str(cause), re.IGNORECASE) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__ or cause.__context__


def _kind(error: BaseException) -> Kind | None:
    kind = _CODES.get(error.code) if isinstance(error, ProviderRefusal) else None
    if kind is None and isinstance(error, ProviderRefusal):
        kind = Kind.REQUEST
    if kind is None:
        kind = _NUMBERS.get(number) if (number := _number(error)) is not None else None
        if kind is None and number is not None and 500 <= number < 600:
            kind = Kind.UNAVAILABLE
    for base in type(error).__mro__ if kind is None else ():
        kind = _NAMES.get(base.__name__) or kind
        if kind is not None:
            break
    # What only names a class of problems is looked into; a name that says it all is believed.
    if kind in {Kind.REQUEST, Kind.UNAVAILABLE, Kind.ACCESS}:
        return next((meant for words, meant in _WORDS if re.search(words, _text(error), re.IGNORECASE)), kind)
    return kind


def _number(error: Any) -> int | None:
    """The status or close code that an error carries."""
    if (response := getattr(error, "response", None)) is not None and hasattr(response, "status_code"):
        return int(response.status_code)
    # The close frame that a WebSocket received, if it is such an error.
    code = getattr(error.rcvd, "code", None) if hasattr(error, "rcvd") else getattr(error, "code", None)
    return code if isinstance(code, int) else None


def _text(error: BaseException) -> str:
    return f"{error} {getattr(error, 'message', '')} {getattr(error, 'about', '')}"
