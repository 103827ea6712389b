"""Addresses at which clients reach the local stack, with each transport."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from local.deployment.outputs import Deployment
from local.settings import Settings
from local.stack.addresses import ClientAddresses, targets_of
from local.workers.balancer import Target

KEYS_URL = "http://127.0.0.1:1/keys"

MakeDeployment = Callable[[str], Deployment]


def doors_of(settings: Settings, transport: str) -> ClientAddresses:
    settings.state.mkdir(parents=True, exist_ok=True)
    return ClientAddresses(replace(settings, transport=transport), list)


def test_the_api_transport_adds_nothing_to_a_deployment(settings: Settings, make_deployment: MakeDeployment) -> None:
    doors, deployment = doors_of(settings, "api"), make_deployment("9")

    assert doors.equip(deployment, KEYS_URL) == deployment
    assert doors.facts(deployment) == {"websocket_url": deployment.websocket_url, "transport": "api"}


@pytest.mark.parametrize("transport", ["direct", "both"])
async def test_workers_are_told_whose_tokens_are_good(
    settings: Settings, make_deployment: MakeDeployment, transport: str
) -> None:
    variables = doors_of(settings, transport).equip(make_deployment("9"), KEYS_URL).worker_environment

    assert variables["SEGUE_TRANSPORT"] == transport
    assert variables["SEGUE_TOKEN_KEYS_URL"] == KEYS_URL
    assert variables["SEGUE_TOKEN_ISSUER"]
    assert variables["SEGUE_TOKEN_AUDIENCE"]
    assert variables["SEGUE_WORKER_VERSION"] == "9"


@pytest.mark.parametrize("transport", ["direct", "both"])
async def test_the_balancer_has_an_address_that_it_keeps(
    settings: Settings, make_deployment: MakeDeployment, transport: str
) -> None:
    deployment, addresses = make_deployment("9"), []
    for _ in range(2):
        doors = doors_of(settings, transport)
        await doors.open()
        addresses.append(doors.direct_url)
        used = doors.facts(deployment)["websocket_url"]
        assert used == (doors.direct_url if transport == "direct" else deployment.websocket_url)
        await doors.close()

    assert addresses[0] == addresses[1]


def test_workers_without_sockets_take_no_connections_and_draining_ones_leave() -> None:
    workers = [
        SimpleNamespace(id="w1", sockets_port=None, state="starting"),
        SimpleNamespace(id="w2", sockets_port=5001, state="running"),
        SimpleNamespace(id="w3", sockets_port=5002, state="draining"),
    ]

    assert targets_of(workers) == [Target("w2", 5001), Target("w3", 5002, leaving=True)]
