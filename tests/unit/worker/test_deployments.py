"""The order of deployments, on the table that decides it."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.unit.worker.stand_ins import claim
from worker.hosting.deployments import announced, number_of
from worker.hosting.registry import Registry
from worker.hosting.successors import Successors


def test_workers_of_one_deployment_have_its_number(dynamodb):
    assert [number_of(dynamodb, "connections", "worker:12") for _ in range(3)] == [1, 1, 1]


def test_a_rollback_gets_a_newer_number(dynamodb):
    started = ["worker:12", "worker:13", "worker:12", "worker:13"]
    assert [number_of(dynamodb, "connections", each) for each in started] == [1, 2, 3, 4]


@pytest.mark.parametrize("before", [(), ("worker:12",)], ids=["the first", "after another"])
def test_two_workers_that_start_at_once_agree_on_the_number(dynamodb, before):
    for deployment in before:
        number_of(dynamodb, "connections", deployment)

    class Overtaken:
        """Another worker of the same deployment begins it between this one's read and its write."""

        def get_item(self, **request):
            answer = dynamodb.get_item(**request)
            if not hasattr(self, "other"):
                self.other = number_of(dynamodb, "connections", "worker:13")
            return answer

        put_item = staticmethod(dynamodb.put_item)

    late = Overtaken()
    assert number_of(late, "connections", "worker:13") == late.other == len(before) + 1


def test_announced_versions_sort_after_every_version_of_earlier_releases():
    numbers = [announced(number) for number in (1, 9, 10, 99, 12_345)]
    assert numbers == sorted(numbers)
    assert all(earlier < numbers[0] for earlier in ("0", "20260102T030405Z", "v7", "zebra", "Z", "_x", ".", "-"))


async def test_a_worker_announces_its_place_and_its_release(dynamodb):
    older = Registry(dynamodb, "connections", "w0", "20991231T235959Z")  # as an earlier release does
    await older.beat("http://10.0.0.6:8080", room=9, sessions=0)
    for worker, deployment in (("w1", "worker:12"), ("w2", "worker:13"), ("w3", "worker:12")):
        registry = Registry(dynamodb, "connections", worker, "0123abcd", deployment=deployment)
        await registry.beat("http://10.0.0.7:8080", room=1, sessions=0)
        await registry.beat("http://10.0.0.7:8080", room=1, sessions=0)
    key = {"pk": {"S": "workers"}, "sk": {"S": "w3"}}
    item = dynamodb.get_item(TableName="connections", Key=key)["Item"]
    assert (item["version"]["S"], item["release"]["S"]) == (announced(3), "0123abcd")
    async with Successors(older.others) as successors:
        found = await successors._candidates(claim())
    assert [peer.worker_id for peer in found] == ["w3", "w2", "w1"], "a worker of an earlier release reads the same"
    async with Successors(Registry(dynamodb, "connections", "w3", "x").others) as successors:
        assert [peer.worker_id for peer in await successors._candidates(claim())] == ["w2", "w1", "w0"]


async def test_a_worker_that_has_no_place_yet_tries_again(dynamodb, monkeypatch):
    registry = Registry(dynamodb, "connections", "w1", "0123abcd", deployment="worker:12")
    refuse = ClientError({"Error": {"Code": "ThrottlingException"}}, "GetItem")
    monkeypatch.setattr("worker.hosting.registry.number_of", lambda *_: (_ for _ in ()).throw(refuse))
    with pytest.raises(ClientError):
        await registry.beat("http://10.0.0.7:8080", room=1, sessions=0)
    monkeypatch.undo()
    await registry.beat("http://10.0.0.7:8080", room=1, sessions=0)
    assert number_of(dynamodb, "connections", "worker:12") == 1
