"""Environment of the process, and its errors when a variable is missing."""

from __future__ import annotations

import pytest
from aiohttp import web

from shared.environment_problem import EnvironmentProblem
from worker.settings import Environment, advertised_host

VARIABLES = {
    "SEGUE_STAGE": "test",
    "SEGUE_LOCK_TABLE": "locks",
    "SEGUE_CONNECTIONS_TABLE": "connections",
    "SEGUE_CLAIMS_QUEUE_URL": "http://queue",
    "SEGUE_BUCKET": "bucket",
    "SEGUE_MANAGEMENT_ENDPOINT": "http://api/stage/",
}


def test_variables_that_are_not_set_have_defaults():
    environment = Environment.read(VARIABLES)
    assert environment.management_endpoint == "http://api/stage"
    assert environment.bind_host == "127.0.0.1"
    assert (environment.port, environment.capacity) == (0, 40)
    assert (environment.lease_seconds, environment.heartbeat_seconds) == (10.0, 3.0)
    assert environment.linger_seconds == 60.0
    assert environment.retention_days == 365
    assert environment.worker_id != Environment.read(VARIABLES).worker_id


def test_optional_environment_variables_override_defaults():
    environment = Environment.read(
        {
            **VARIABLES,
            "SEGUE_WORKER_ID": "w1",
            "SEGUE_CAPACITY": "3",
            "SEGUE_LINGER_SECONDS": "0.5",
            "SEGUE_RETENTION_DAYS": "7",
        }
    )
    assert (environment.worker_id, environment.capacity, environment.linger_seconds) == ("w1", 3, 0.5)
    assert environment.retention_days == 7


@pytest.mark.parametrize("name", VARIABLES)
def test_a_missing_variable_is_named(name):
    with pytest.raises(EnvironmentProblem, match=f"{name} is missing"):
        Environment.read({**VARIABLES, name: ""})


def test_all_problems_are_named_at_once():
    with pytest.raises(EnvironmentProblem) as problem:
        Environment.read({"SEGUE_CAPACITY": "many", "SEGUE_WORKER_PORT": "-1", "SEGUE_LINGER_SECONDS": "nan"})
    for name in (*VARIABLES, "SEGUE_CAPACITY", "SEGUE_WORKER_PORT", "SEGUE_LINGER_SECONDS"):
        assert name in str(problem.value)


async def test_the_address_that_was_given_is_advertised():
    environment = Environment.read({**VARIABLES, "SEGUE_WORKER_HOST": "10.1.2.3"})
    assert await advertised_host(environment, {"ECS_CONTAINER_METADATA_URI_V4": "http://never"}) == "10.1.2.3"


async def test_the_advertised_address_defaults_to_loopback():
    assert await advertised_host(Environment.read(VARIABLES), {}) == "127.0.0.1"


@pytest.fixture
async def metadata():
    """Starts an ECS metadata endpoint that answers with a body."""
    runners = []

    async def start(body: object) -> dict[str, str]:
        app = web.Application()

        async def answer(_: web.Request) -> web.Response:
            return web.json_response(body)

        app.router.add_get("/v4/task-id", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        return {"ECS_CONTAINER_METADATA_URI_V4": f"http://127.0.0.1:{runner.addresses[0][1]}/v4/task-id"}

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("network", "address"),
    [
        ({"NetworkMode": "awsvpc", "IPv4Addresses": ["10.0.2.106"], "IPv6Addresses": ["2001:db8::1"]}, "10.0.2.106"),
        ({"NetworkMode": "awsvpc", "IPv6Addresses": ["2001:db8::1"]}, "[2001:db8::1]"),
    ],
)
async def test_the_advertised_address_on_ecs_is_the_tasks_own(metadata, network, address):
    assert await advertised_host(Environment.read(VARIABLES), await metadata({"Networks": [network]})) == address


async def test_metadata_without_an_address_are_a_problem(metadata, unused_port):
    with pytest.raises(EnvironmentProblem, match="no address"):
        await advertised_host(Environment.read(VARIABLES), await metadata({"Networks": []}))
    with pytest.raises(EnvironmentProblem, match="do not answer"):
        nowhere = {"ECS_CONTAINER_METADATA_URI_V4": f"http://127.0.0.1:{unused_port}/v4"}
        await advertised_host(Environment.read(VARIABLES), nowhere)
