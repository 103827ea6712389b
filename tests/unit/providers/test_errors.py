"""Exceptions of providers, and the errors that clients are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from aws_sdk_bedrock_runtime import models as bedrock
from google.genai.errors import APIError, ClientError, ServerError
from strands.types.exceptions import ModelThrottledException
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Headers, Response

from shared.provider_errors import ERRORS, Kind, ProviderRefusal, about_tools
from worker.providers import classify

DOCS = Path(__file__).resolve().parents[3] / "docs" / "providers.md"
SECRET = "what the caller said"


def status(code: int) -> InvalidStatus:
    return InvalidStatus(Response(code, "", Headers()))


def closed(code: int | None, reason: str = "") -> ConnectionClosedError:
    return ConnectionClosedError(None if code is None else Close(code, reason), None)


def caused(error: BaseException) -> Exception:
    wrapped = RuntimeError(SECRET)
    wrapped.__cause__ = error
    return wrapped


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (bedrock.ThrottlingException(message=SECRET), Kind.THROTTLED),
        (bedrock.ServiceUnavailableException(message=SECRET), Kind.UNAVAILABLE),
        (bedrock.InternalServerException(message=SECRET), Kind.UNAVAILABLE),
        (bedrock.ModelStreamErrorException(message=SECRET), Kind.UNAVAILABLE),
        (bedrock.ModelNotReadyException(message=SECRET), Kind.UNAVAILABLE),
        (bedrock.AccessDeniedException(message="You don't have access to the model"), Kind.ACCESS),
        (bedrock.AccessDeniedException(message="The security token included is expired"), Kind.CREDENTIALS),
        (bedrock.ResourceNotFoundException(message=SECRET), Kind.REGION),
        (bedrock.ValidationException(message="The provided model identifier is invalid."), Kind.REGION),
        (bedrock.ValidationException(message="Content blocked by our content filter"), Kind.CONTENT),
        (bedrock.ValidationException(message="malformed input"), Kind.REQUEST),
        (ValueError("no AWS credentials found. configure credentials"), Kind.CREDENTIALS),
        (status(401), Kind.CREDENTIALS),
        (status(403), Kind.ACCESS),
        (status(404), Kind.REGION),
        (status(429), Kind.THROTTLED),
        (status(502), Kind.UNAVAILABLE),
        (closed(None), Kind.DISCONNECTED),
        (closed(1001), Kind.DISCONNECTED),
        (closed(1011, "Internal error"), Kind.UNAVAILABLE),
        (closed(1011, "You exceeded your current quota"), Kind.THROTTLED),
        (closed(1013), Kind.THROTTLED),
        (APIError(1006, "Abnormal closure."), Kind.DISCONNECTED),
        (APIError(1007, "Request contains an invalid argument."), Kind.REQUEST),
        (APIError(1007, "API key not valid. Please pass a valid API key."), Kind.CREDENTIALS),
        (APIError(1008, "models/x is not found for API version v1beta"), Kind.REGION),
        (APIError(1008, "blocked for safety reasons"), Kind.CONTENT),
        (ClientError(429, {"error": {"message": SECRET}}), Kind.THROTTLED),
        (ServerError(503, {"error": {"message": SECRET}}), Kind.UNAVAILABLE),
        (ModelThrottledException(SECRET), Kind.THROTTLED),
        (ProviderRefusal("rate_limit_exceeded", "response"), Kind.THROTTLED),
        (ProviderRefusal("insufficient_quota", "response"), Kind.THROTTLED),
        (ProviderRefusal("invalid_api_key", "error"), Kind.CREDENTIALS),
        (ProviderRefusal("invalid_value", "session.tools[0]"), Kind.REQUEST),
        (ConnectionRefusedError(SECRET), Kind.UNAVAILABLE),
        (ConnectionResetError(SECRET), Kind.DISCONNECTED),
        (TimeoutError(SECRET), Kind.UNAVAILABLE),
        (KeyError(SECRET), Kind.UNKNOWN),
        (RuntimeError("a tool of the user's with the word blocked"), Kind.UNKNOWN),
    ],
    ids=repr,
)
@pytest.mark.parametrize("wrapped", [False, True], ids=["itself", "as a cause"])
def test_an_error_of_a_provider_is_classified(error: Exception, kind: Kind, wrapped: bool):
    if wrapped and str(error).startswith("no AWS"):
        pytest.skip("Strands raises it itself")
    assert classify(caused(error) if wrapped else error).kind is kind


@pytest.mark.parametrize("kind", Kind)
def test_messages_of_errors_show_no_internals(kind: Kind):
    error = ERRORS[kind]
    assert re.fullmatch(r"[a-z ;',]+", error.message)
    assert len(error.message) < 120


def test_only_permanent_error_kinds_are_not_retryable():
    assert {kind for kind in Kind if not ERRORS[kind].retryable} == {
        Kind.ACCESS, Kind.REGION, Kind.CREDENTIALS, Kind.CONTENT,
    }  # fmt: skip


def test_every_kind_is_counted_under_a_name_of_its_own():
    assert len({error.metric for error in ERRORS.values()}) == len(Kind)


def test_every_kind_has_its_line_in_the_docs():
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    for error in ERRORS.values():
        again = "yes" if error.retryable else "no"
        start = f"| {error.kind.value} | `{error.code}` | {again} | `{error.metric}` |"
        assert sum(line.startswith(start) for line in lines) == 1, start


def test_a_loop_of_causes_ends():
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert classify(first) is ERRORS[Kind.UNKNOWN]


@pytest.mark.parametrize(
    ("error", "named"),
    [(ProviderRefusal("invalid_value", "session.tools[0]"), True), (APIError(1007, "bad function declaration"), True),
     (APIError(1007, "invalid argument"), False)],
)  # fmt: skip
def test_errors_about_tools_are_recognized(error: Any, named: bool):
    assert about_tools(error) is named
