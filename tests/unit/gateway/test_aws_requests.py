"""The functions' own requests to AWS, beside those that botocore makes."""

from __future__ import annotations

import datetime as dt
import json
import zlib
from http.server import BaseHTTPRequestHandler

import boto3
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.loaders import create_loader
from botocore.retries import standard
from botocore.session import get_session

from shared.aws import clients, retries
from shared.aws.credentials import ProcessKeys
from shared.aws.endpoints import endpoint
from shared.aws.retries import ATTEMPTS, BUDGET, RetryPolicy
from shared.aws.service import DynamoDbService, ServiceRefused, ServiceUnreachable, SqsService
from shared.aws.signing import AwsKeys, SignatureV4
from tests.support.http_server import LoopbackServer, QuietHandler

NOW = 1_795_000_000.0
KEYS = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TEMPORARY = AwsKeys("ASIAEXAMPLE", "secret", "token of a session/+==")
ENVIRON = {"AWS_ACCESS_KEY_ID": KEYS.access_key, "AWS_SECRET_ACCESS_KEY": KEYS.secret_key}


class Service:
    """Answers from a list, then with ``{}``. An answer of None hangs up."""

    def __init__(self):
        self.answers = []
        self.asked = []
        outer = self

        class Handler(QuietHandler, BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.asked.append(({name.lower(): value for name, value in self.headers.items()}, body))
                said = outer.answers.pop(0) if outer.answers else (200, b"{}", {})
                if said is None:
                    self.close_connection = True
                    return
                status, content, headers = said
                self.send_response(status)
                for name, value in {"content-length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        self.server = LoopbackServer(Handler)
        self.url = self.server.url

    def refuses(self, status, code="", times=1):
        content = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no"}).encode()
        self.answers += [(status, content, {})] * times

    def stop(self):
        self.server.stop()


@pytest.fixture
def service():
    started = Service()
    yield started
    started.stop()


@pytest.fixture
def slept():
    return []


@pytest.fixture
def dynamodb(service, slept):
    environ = {**ENVIRON, "AWS_ENDPOINT_URL": service.url}
    return DynamoDbService("dynamodb", "eu-west-1", environ, slept.append, RetryPolicy(lambda: 1.0))


@pytest.mark.parametrize("keys", [KEYS, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", "https://dynamodb.eu-west-1.amazonaws.com/", b'{"TableName":"t"}'),
        ("POST", "https://a1.execute-api.eu-west-1.amazonaws.com/dev/@connections/L0SM9cOFvHcCIhw%3D", b"{}"),
        ("GET", "https://a1.execute-api.eu-west-1.amazonaws.com/dev/@connections/x~y-_.%3D", b""),
        ("DELETE", "http://127.0.0.1:4566/_aws/execute-api/a/dev/@connections/c", b""),
        ("POST", "http://localhost:80", "ä ".encode()),
        ("POST", "https://localhost:443/a b", b"\0"),
    ],
)
def test_a_signature_is_botocores(monkeypatch, keys, method, url, body):
    at = dt.datetime.fromtimestamp(NOW, dt.UTC)
    monkeypatch.setattr(auth, "get_current_datetime", lambda remove_tzinfo=True: at.replace(tzinfo=None))
    own = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "A.B  c"}
    theirs = AWSRequest(method=method, url=url, data=body, headers=own)
    auth.SigV4Auth(Credentials(keys.access_key, keys.secret_key, keys.token), "dynamodb", "eu-west-1").add_auth(theirs)

    signature = SignatureV4("dynamodb", "eu-west-1", wall_clock=lambda: NOW)
    for _ in range(2):  # with a key that is derived, and with the kept one
        ours = signature.headers(keys, method, url, body, own)
        assert {name.lower(): value for name, value in ours.items()} == {
            name.lower(): value for name, value in theirs.headers.items()
        }


def test_a_derived_key_ends_with_its_day_and_its_credentials():
    now = [NOW]
    kept = SignatureV4("sqs", "eu-west-1", wall_clock=lambda: now[0])
    for keys in (KEYS, TEMPORARY, KEYS):
        for now[0] in (NOW, NOW + 86_400):
            fresh = SignatureV4("sqs", "eu-west-1", wall_clock=lambda: now[0])
            assert kept.headers(keys, "POST", "https://h/", b"", {}) == fresh.headers(
                keys, "POST", "https://h/", b"", {}
            )


def test_a_query_is_refused_and_not_signed_wrongly():
    with pytest.raises(ValueError, match="query"):
        SignatureV4("sqs", "eu-west-1").headers(KEYS, "GET", "https://h/?a=b", b"", {})


def test_an_address_is_botocores_in_every_region():
    partitions = create_loader().load_data("endpoints")["partitions"]
    assert len(partitions) > 5
    for partition in partitions:
        for service in ("dynamodb", "sqs"):
            for region in partition["regions"]:
                assert endpoint(service, region, {}) == f"https://{service}.{region}.{partition['dnsSuffix']}"


def test_an_address_may_be_named():
    assert endpoint("sqs", "r", {"AWS_ENDPOINT_URL": "http://a/", "AWS_ENDPOINT_URL_SQS": "http://b/"}) == "http://b"
    assert (
        endpoint("dynamodb", "r", {"AWS_ENDPOINT_URL": "http://a/", "AWS_ENDPOINT_URL_SQS": "http://b"}) == "http://a"
    )


def test_the_codes_that_are_tried_again_are_botocores():
    throttled = set(standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES)
    transient = set(standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES)
    assert throttled == retries.THROTTLED
    assert transient - throttled < retries.TRANSIENT
    assert set(standard.TransientRetryableChecker._TRANSIENT_STATUS_CODES) == retries.TRANSIENT_STATUS
    for name, operations in (
        ("dynamodb", ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query")),
        ("sqs", ("SendMessage", "SendMessageBatch")),
    ):
        model = get_session().get_service_model(name)
        for operation in operations:
            for shape in model.operation_model(operation).error_shapes:
                if shape.metadata.get("retryable") is not None:
                    assert shape.name in retries.THROTTLED | retries.TRANSIENT


OPERATIONS = [
    (DynamoDbService, "dynamodb", "get_item", {"TableName": "t", "Key": {"k": {"S": "ä"}}, "ConsistentRead": True}),
    (DynamoDbService, "dynamodb", "put_item", {"TableName": "t", "Item": {"k": {"S": "a"}, "b": {"B": b"\0\xff"}}}),
    (
        DynamoDbService,
        "dynamodb",
        "update_item",
        {"TableName": "t", "Key": {"k": {"S": "a"}}, "UpdateExpression": "ADD n :n", "ReturnValues": "ALL_OLD"},
    ),
    (DynamoDbService, "dynamodb", "delete_item", {"TableName": "t", "Key": {"k": {"S": "a"}}}),
    (DynamoDbService, "dynamodb", "query", {"TableName": "t", "KeyConditionExpression": "k = :k", "Limit": 3}),
    (
        SqsService,
        "sqs",
        "send_message",
        {"QueueUrl": "https://q/1.fifo", "MessageBody": "{}", "MessageGroupId": "g", "MessageDeduplicationId": "d"},
    ),
    (
        SqsService,
        "sqs",
        "send_message_batch",
        {"QueueUrl": "https://q/1", "Entries": [{"Id": "0", "MessageBody": "{}"}]},
    ),
]


@pytest.fixture(scope="module")
def boto_session():
    return boto3.Session(KEYS.access_key, KEYS.secret_key, region_name="eu-west-1")


@pytest.mark.parametrize(("kind", "name", "method", "request_"), OPERATIONS, ids=[each[2] for each in OPERATIONS])
def test_a_request_says_what_boto3s_says(service, boto_session, kind, name, method, request_):
    sent = []

    def caught(request, **_):
        sent.append(request)
        raise OSError("not sent")

    theirs = boto_session.client(name)
    theirs.meta.events.register("before-send", caught)
    with pytest.raises(OSError, match="not sent"):
        getattr(theirs, method)(**request_)
    getattr(kind(name, "eu-west-1", {**ENVIRON, "AWS_ENDPOINT_URL": service.url}), method)(**request_)

    ((headers, body),) = service.asked
    told = {key.lower(): value for key, value in sent[0].headers.items()}
    for header in ("x-amz-target", "content-type"):
        assert headers[header] == (told[header].decode() if isinstance(told[header], bytes) else told[header])
    assert json.loads(body) == json.loads(sent[0].body)


def test_an_answer_is_what_the_service_says(service, dynamodb):
    service.answers = [(200, b'{"Item":{"k":{"S":"a"}}}', {})]
    assert dynamodb.get_item(TableName="t", Key={"k": {"S": "a"}}) == {"Item": {"k": {"S": "a"}}}


def test_a_request_that_failed_for_the_moment_is_sent_again_unchanged(service, dynamodb, slept):
    service.refuses(500)
    service.refuses(503, "InternalServerError")
    assert dynamodb.put_item(TableName="t", Item={}) == {}
    assert [body for _, body in service.asked] == [b'{"TableName":"t","Item":{}}'] * 3
    assert slept == [0.025, 0.05]


def test_a_page_of_a_proxy_counts_as_no_answer(service, dynamodb):
    service.answers = [(502, b"<html>bad gateway</html>", {}), (200, b"<html>", {})]
    assert dynamodb.get_item(TableName="t") == {}
    assert len(service.asked) == 3


def test_a_truncated_or_changed_answer_is_asked_for_again(service, dynamodb):
    whole = b'{"Item":{}}'
    service.answers = [
        (200, whole[:5], {"content-length": "11", "connection": "close"}),
        (200, whole, {"x-amz-crc32": "1"}),
        (200, whole, {"x-amz-crc32": str(zlib.crc32(whole))}),
    ]
    assert dynamodb.get_item(TableName="t") == {"Item": {}}
    assert len(service.asked) == 3


def test_a_service_that_is_asked_too_often_is_given_time(service, dynamodb, slept):
    service.refuses(400, "ProvisionedThroughputExceededException", times=2)
    assert dynamodb.get_item(TableName="t") == {}
    assert slept == [1.0, 2.0]


def test_a_refusal_raises_botocores_error(service, dynamodb):
    service.refuses(400, "ConditionalCheckFailedException")
    with pytest.raises(ServiceRefused) as refused:
        dynamodb.put_item(TableName="t", Item={})
    assert refused.value.response == {
        "Error": {"Code": "ConditionalCheckFailedException", "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    assert len(service.asked) == 1


def test_a_condition_that_does_not_hold_is_no_error(service, dynamodb):
    service.refuses(400, "ConditionalCheckFailedException")
    assert clients.conditionally(dynamodb.put_item, TableName="t", Item={}) is False
    assert clients.conditionally(dynamodb.put_item, TableName="t", Item={}) is True
    service.refuses(400, "ResourceNotFoundException")
    with pytest.raises(ServiceRefused):
        clients.conditionally(dynamodb.put_item, TableName="t", Item={})


def test_attempts_end(service, dynamodb):
    service.refuses(500, times=ATTEMPTS + 1)
    with pytest.raises(ServiceRefused):
        dynamodb.get_item(TableName="t")
    assert len(service.asked) == ATTEMPTS


def test_a_service_that_is_not_there_is_said_to_be_unreachable(service, dynamodb, slept):
    service.stop()
    with pytest.raises(ServiceUnreachable, match="NewConnectionError"):
        dynamodb.get_item(TableName="t")
    assert len(slept) == ATTEMPTS - 1


def test_a_kept_connection_that_was_dropped_costs_no_pause(service, dynamodb, slept):
    dynamodb.get_item(TableName="t")
    service.answers = [None]
    assert dynamodb.get_item(TableName="t") == {}
    assert slept == [0.0]
    assert service.server.connected == 2


def test_a_process_whose_requests_keep_failing_tries_less_and_recovers():
    policy = RetryPolicy(lambda: 0.0)
    for _ in range(BUDGET):
        assert policy.pause(1, 500, "") == 0.0
    assert policy.pause(1, 500, "") is None
    policy.answered()
    assert policy.pause(1, 500, "") == 0.0
    assert policy.pause(1, 500, "") is None


def test_a_request_goes_on_with_the_invocations_trace(service):
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0"
    environ = {**ENVIRON, "AWS_ENDPOINT_URL": service.url, "_X_AMZN_TRACE_ID": trace}
    DynamoDbService("dynamodb", "eu-west-1", environ).get_item(TableName="t")
    ((headers, _),) = service.asked
    assert headers["x-amzn-trace-id"] == trace
    assert "trace" not in headers["authorization"]


def test_pages_of_a_query_are_read_up_to_the_limit(service, dynamodb):
    def page(*numbers, more):
        content = {"Items": [{"n": {"N": str(number)}} for number in numbers]}
        return 200, json.dumps(content | ({"LastEvaluatedKey": {"k": {"S": "x"}}} if more else {})).encode(), {}

    service.answers = [page(1, 2, more=True), page(3, 4, more=False)]
    assert [item["n"]["N"] for item in clients.query_items(dynamodb, TableName="t")] == ["1", "2", "3", "4"]
    assert json.loads(service.asked[1][1]) == {"TableName": "t", "ExclusiveStartKey": {"k": {"S": "x"}}}
    service.answers = [page(1, 2, more=True), page(3, 4, more=True)]
    assert [item["n"]["N"] for item in clients.query_items(dynamodb, 3, TableName="t")] == ["1", "2", "3"]


def test_credentials_that_are_not_in_the_environment_are_botocores(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    profile = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(LookupError, match="give the function a role"):
        ProcessKeys()()
    profile.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\naws_session_token = c\n")
    assert ProcessKeys()() == AwsKeys("a", "b", "c")
