"""A cold start imports what its function needs, and nothing that is slow to import beside it (RFC 0027)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

SDK = {"boto3", "botocore", "s3transfer"}
AGENTS = {"strands", "opentelemetry", "jsonschema", "mcp", "pydantic", "numpy", "soxr"}
SERVERS = {"aiohttp", "websockets", "requests", "click", "rich"}
TOKENS = {"jwt", "cryptography"}
VOICE = {"openai", "google", "aws_sdk_bedrock_runtime"}
EVERYTHING = SDK | AGENTS | SERVERS | TOKENS | VOICE

WORKING = """
import gateway.message, gateway.connect, gateway.disconnect, gateway.stopped
context = {"connectionId": "c", "authorizer": {"principal": "0" * 32, "expires_at": "9999999999"}}
assert gateway.connect.handler({"requestContext": context}, None) == {"statusCode": 500}
for body in ('{"type":"ping"}', '{"type":"hello","session":"s","client_id":"c","connection":1}'):
    assert gateway.message.handler({"requestContext": context, "body": body}, None) == {"statusCode": 200}
assert gateway.disconnect.handler({"requestContext": context}, None) == {"statusCode": 200}
gateway.stopped.dependencies()
"""
"""Each function takes a message. No service answers: what is asked of them is asked as on AWS."""

TURN_NEVER = SERVERS - {"requests", "websockets"} | TOKENS | VOICE | {"soxr"}
TURN_PARTS = (
    *("worker.app", "worker.aws", "worker.conversation", "worker.hosting", "worker.providers.", "worker.server"),
    "strands.multiagent",
)


def loaded(program: str) -> set[str]:
    """Names of the modules that an interpreter has after a program."""
    path = os.pathsep.join(str(ROOT / folder) for folder in ("functions", "layers/session/python"))
    names = (
        *("SEGUE_CONNECTIONS_TABLE", "SEGUE_LOCK_TABLE", "SEGUE_CLAIMS_QUEUE_URL"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "POWERTOOLS_SERVICE_NAME"),
    )
    environment = {
        **dict.fromkeys(names, "x"),
        "PYTHONPATH": path,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # discard: no process listens there
        "SEGUE_MANAGEMENT_ENDPOINT": "http://127.0.0.1:9/dev",
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    }
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print('modules', *sys.modules)"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


def packages(modules: set[str]) -> set[str]:
    """Packages of which more than a name is loaded: Powertools imports botocore's own, which is nearly empty."""
    return {name.partition(".")[0] for name in modules - {"botocore"}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "needed"),
    [
        ("import gateway.authorizer", TOKENS),
        ("import janitor.ended, janitor.second_sweep, janitor.weekly", SDK),
        # Also when they work: an import that is put off is paid for by the first frame.
        (WORKING, set()),
    ],
    ids=["authorizer", "janitor", "gateway"],
)
def test_functions_import_the_heavy_packages_that_they_need_and_no_other(program: str, needed: set[str]) -> None:
    assert packages(loaded(program)) & EVERYTHING == needed


@pytest.mark.slow
def test_the_text_function_imports_nothing_of_the_voice_service() -> None:
    modules = loaded("import turn.handler")
    assert {"strands", "boto3"} <= packages(modules)
    assert packages(modules) & TURN_NEVER == set()
    assert sorted(name for name in modules if name.startswith(TURN_PARTS)) == []
