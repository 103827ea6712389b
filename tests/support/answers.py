"""An AWS account that answers from a table; each answer is checked against botocore's model of the operation."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.validate import validate_parameters

REGION = "us-east-1"

Answer = dict[str, Any] | Exception | Callable[[dict[str, Any]], "Answer"]


class Refusal(Exception):  # noqa: N818 - an answer, not a failure of the test
    """An error that a service answers with."""

    def __init__(self, code: str, message: str = "", status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(code)
        self.code, self.message, self.status = code, message, status


class Answers:
    """The table, by ``service.Operation``.

    Attributes:
        asked: The operations that were called, with their parameters.
    """

    def __init__(self, table: dict[str, Answer]) -> None:
        self.table = dict(table)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def session(self) -> boto3.Session:
        """A session whose clients are answered from the table and reach no network."""
        session = boto3.Session("AKIDEXAMPLE", "example", region_name=REGION)
        # Before parameters are built, as the caller gave them; instead of the request, the answer.
        session.events.register("provide-client-params.*.*", self._note)
        session.events.register("before-call.*.*", self._answer)
        return session

    def _note(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        context["asked"] = dict(params)

    def _answer(self, model: Any, params: dict[str, Any], context: Any = None, **_: Any) -> tuple[AWSResponse, Any]:
        name = f"{model.service_model.service_name}.{model.name}"
        given = (context or params.get("context") or {}).get("asked", {})
        self.asked.append((name, given))
        if name not in self.table:
            raise AssertionError(f"{name} was asked, and the test has no answer for it: {given}")
        answer = self.table[name]
        while callable(answer):
            answer = answer(given)
        if isinstance(answer, Refusal):
            return _response(answer.status), {
                "Error": {"Code": answer.code, "Message": answer.message},
                "ResponseMetadata": {"HTTPStatusCode": answer.status},
            }
        if isinstance(answer, Exception):
            raise answer
        if model.output_shape is not None:
            validate_parameters(answer, model.output_shape)
        return _response(HTTPStatus.OK), {**answer, "ResponseMetadata": {"HTTPStatusCode": 200}}


def _response(status: int) -> AWSResponse:
    return AWSResponse("https://answers.invalid", int(status), {}, None)
