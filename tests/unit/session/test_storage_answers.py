"""Each answer of DynamoDB and S3 has its error: passing, refused, or decided."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from botocore.stub import Stubber

from segue import StorageRefused, StorageUnavailable
from segue.session.storage_calls import StorageCalls
from segue.storage.aws import DynamoGuard, S3Objects, update_request
from segue.storage.interface import Clause, ConditionalWrite, ConditionFailed, ObjectMissing, PreconditionFailed
from segue.testing import ManualClock

ONE_ATTEMPT = Config(retries={"total_max_attempts": 1})
WRITE = ConditionalWrite("a/b", (Clause("acquire_id", "=", "x"),), {"head": 1}, ("holder",), {"beat": 1})


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def table(executor: ThreadPoolExecutor) -> tuple[DynamoGuard, Stubber]:
    client = boto3.client("dynamodb", config=ONE_ATTEMPT)
    return DynamoGuard(client, "locks", executor), Stubber(client)


@pytest.fixture
def bucket(executor: ThreadPoolExecutor) -> tuple[S3Objects, Stubber]:
    client = boto3.client("s3", config=ONE_ATTEMPT)
    return S3Objects(client, "voices", executor), Stubber(client)


TRANSIENT = [
    ("ProvisionedThroughputExceededException", 400),
    ("ThrottlingException", 400),
    ("RequestLimitExceeded", 400),
    ("TransactionConflictException", 400),
    ("BadDigest", 400),
    ("InternalServerError", 500),
    ("ServiceUnavailable", 503),
]
REFUSED = [
    ("AccessDeniedException", 400),
    ("ResourceNotFoundException", 400),
    ("ValidationException", 400),
    ("UnrecognizedClientException", 400),
    ("ExpiredTokenException", 400),
]


@pytest.mark.parametrize(("code", "status"), TRANSIENT)
async def test_an_answer_that_may_pass_raises_storage_unavailable(
    table: tuple[DynamoGuard, Stubber], code: str, status: int
) -> None:
    guard, stubber = table
    stubber.add_client_error("update_item", code, "why", status)
    stubber.add_client_error("get_item", code, "why", status)
    with stubber:
        with pytest.raises(StorageUnavailable, match=f"locks: UpdateItem of {WRITE.session_key} .*{code}.*retry"):
            await guard.write(WRITE)
        with pytest.raises(StorageUnavailable, match=f"locks: GetItem of a/b .*{code}.*retry"):
            await guard.read("a/b")


@pytest.mark.parametrize(("code", "status"), REFUSED)
async def test_a_permanent_error_of_the_table_is_storage_refused(
    table: tuple[DynamoGuard, Stubber], code: str, status: int
) -> None:
    guard, stubber = table
    stubber.add_client_error("update_item", code, "why", status)
    stubber.add_client_error("get_item", code, "why", status)
    with stubber:
        with pytest.raises(StorageRefused, match=code) as refused:
            await guard.write(WRITE)
        assert refused.value.resource == "locks"
        with pytest.raises(StorageRefused, match=code):
            await guard.read("a/b")


async def test_a_failed_condition_carries_the_winner(table: tuple[DynamoGuard, Stubber]) -> None:
    guard, stubber = table
    for item in ({"Item": {"holder": {"S": "winner"}}}, {}):
        stubber.add_client_error(
            "update_item", "ConditionalCheckFailedException", "no", 400, modeled_fields=item, response_meta={}
        )
    with stubber:
        with pytest.raises(ConditionFailed) as lost:
            await guard.write(WRITE)
        assert lost.value.item == {"holder": "winner"}
        with pytest.raises(ConditionFailed) as lost:
            await guard.write(WRITE)
        assert lost.value.item is None


S3_ANSWERS = [
    ("SlowDown", 503, StorageUnavailable),
    ("InternalError", 500, StorageUnavailable),
    ("RequestTimeout", 400, StorageUnavailable),
    ("RequestTimeTooSkewed", 403, StorageUnavailable),
    ("ConditionalRequestConflict", 409, StorageUnavailable),
    ("OperationAborted", 409, StorageUnavailable),
    ("AccessDenied", 403, StorageRefused),
    ("NoSuchBucket", 404, StorageRefused),
    ("PermanentRedirect", 301, StorageRefused),
    ("InvalidAccessKeyId", 403, StorageRefused),
    ("KMS.DisabledException", 400, StorageRefused),
    ("EntityTooLarge", 400, StorageRefused),
]


@pytest.mark.slow
@pytest.mark.parametrize(("code", "status", "expected"), S3_ANSWERS)
async def test_each_answer_of_s3_has_its_error(
    bucket: tuple[S3Objects, Stubber], code: str, status: int, expected: type[Exception]
) -> None:
    objects, stubber = bucket
    for operation in ("get_object", "put_object", "list_objects_v2", "delete_objects"):
        stubber.add_client_error(operation, code, "why", status)
    with stubber:
        with pytest.raises(expected, match=f"voices: GetObject of a/k .*{code}"):
            await objects.get("a/k")
        with pytest.raises(expected, match=f"voices: PutObject of a/k .*{code}"):
            await objects.put("a/k", b"")
        with pytest.raises(expected, match=f"voices: ListObjectsV2 of a/ .*{code}"):
            await objects.list("a/")
        with pytest.raises(expected, match=f"voices: DeleteObjects of 1 objects .*{code}"):
            await objects.delete(["a/k"])


async def test_answers_that_decide_are_no_errors(bucket: tuple[S3Objects, Stubber]) -> None:
    objects, stubber = bucket
    stubber.add_client_error("get_object", "NoSuchKey", "", 404)
    stubber.add_client_error("put_object", "PreconditionFailed", "", 412)
    with stubber:
        with pytest.raises(ObjectMissing):
            await objects.get("k")
        with pytest.raises(PreconditionFailed):
            await objects.put("k", b"", if_absent=True)


@pytest.mark.parametrize(
    ("code", "expected"), [("AccessDenied", StorageRefused), ("InternalError", StorageUnavailable)]
)
async def test_a_key_that_s3_does_not_delete_is_named(
    bucket: tuple[S3Objects, Stubber], code: str, expected: type[Exception]
) -> None:
    objects, stubber = bucket
    stubber.add_response("delete_objects", {"Errors": [{"Key": "k2", "Code": code, "Message": "why"}]})
    with stubber, pytest.raises(expected, match="k2"):
        await objects.delete(["k1", "k2"])


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (EndpointConnectionError(endpoint_url="http://nowhere"), StorageUnavailable),
        (ReadTimeoutError(endpoint_url="http://slow"), StorageUnavailable),
        (NoCredentialsError(), StorageRefused),
    ],
    ids=["no connection", "no answer", "no credentials"],
)
async def test_a_request_without_an_answer_raises_the_fitting_error(
    executor: ThreadPoolExecutor, failure: Exception, expected: type[Exception]
) -> None:
    class Client:
        def get_item(self, **arguments: Any) -> Any:
            raise failure

    guard: Any = DynamoGuard(Client(), "locks", executor)  # type: ignore[arg-type]
    with pytest.raises(expected, match="locks"):
        await guard.read("a/b")


def test_a_write_is_one_conditional_update() -> None:
    request = update_request("locks", WRITE)

    assert request == {
        "TableName": "locks",
        "Key": {"session_key": {"S": "a/b"}},
        "ConditionExpression": "#acquire_id = :if_acquire_id",
        "UpdateExpression": "SET #head = :head ADD #beat :add_beat REMOVE #holder",
        "ExpressionAttributeNames": {
            "#acquire_id": "acquire_id",
            "#head": "head",
            "#beat": "beat",
            "#holder": "holder",
        },
        "ExpressionAttributeValues": {
            ":if_acquire_id": {"S": "x"},
            ":head": {"N": "1"},
            ":add_beat": {"N": "1"},
        },
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


async def test_session_keys_come_page_by_page(table: tuple[DynamoGuard, Stubber]) -> None:
    guard, stub = table
    asked = {"TableName": "locks", "ProjectionExpression": "session_key"}
    last = {"session_key": {"S": "b/2"}}
    stub.add_response("scan", {"Items": [last, {"session_key": {"S": "a/1"}}], "LastEvaluatedKey": last}, asked)
    stub.add_response("scan", {"Items": [{"session_key": {"S": "a/0"}}]}, {**asked, "ExclusiveStartKey": last})
    with stub:
        assert await guard.keys("a/") == ["a/0", "a/1"]
    stub.assert_no_pending_responses()


DATE = "Tue, 15 Jan 2030 08:00:00 GMT"
AT = 1_894_694_400.0


def dated(date: str | None, **answer: Any) -> dict[str, Any]:
    headers = {} if date is None else {"date": date}
    return {**answer, "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": headers}}


async def test_the_table_tells_the_time_in_each_answer(executor: ThreadPoolExecutor) -> None:
    client, clock = boto3.client("dynamodb", config=ONE_ATTEMPT), ManualClock()
    guard, stubber = DynamoGuard(client, "locks", executor, clock), Stubber(client)
    stubber.add_response("get_item", dated(DATE))
    stubber.add_response("update_item", dated(DATE.replace(":00 GMT", ":30 GMT"), Attributes={}))
    refusal = dated(DATE.replace(":00 GMT", ":50 GMT"))["ResponseMetadata"]
    code = "ConditionalCheckFailedException"
    stubber.add_client_error("update_item", code, http_status_code=400, response_meta=refusal)
    stubber.add_response("get_item", dated(None))
    stubber.add_response("get_item", dated("soon"))

    with stubber:
        assert guard.wall() is None
        await guard.read("a/b")
        assert guard.wall() == AT
        await clock.advance(5.0)
        assert guard.wall() == AT + 5
        await guard.write(WRITE)
        assert guard.wall() == AT + 30
        with pytest.raises(ConditionFailed):
            await guard.write(WRITE)
        assert guard.wall() == AT + 50
        for _ in range(2):
            await guard.read("a/b")
            assert guard.wall() == AT + 50, "what stands between may have taken the date away"


def test_a_refusal_that_needs_no_other_form_is_not_its_own_cause() -> None:
    refusal = StorageRefused("a/b", "denied")
    with pytest.raises(StorageRefused) as raised, StorageCalls().refusals():
        raise refusal
    assert raised.value is refusal
    assert refusal.__cause__ is None
