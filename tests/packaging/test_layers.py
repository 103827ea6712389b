from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.config import from_context
from infra.constants import AUTHORIZER_LOCK, LAYER_LOCK, ROOT, TURN_LOCK
from infra.dependencies import build

LIMIT_BYTES = 250 * 2**20
"""Lambda's limit of a function and its layers, unzipped."""

FUNCTION_VARIABLES = {
    "SEGUE_STAGE": "test",
    "SEGUE_LOCK_TABLE": "locks",
    "SEGUE_CONNECTIONS_TABLE": "connections",
    "SEGUE_CLAIMS_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/claims",
    "SEGUE_BUCKET": "bucket",
    "SEGUE_SWEEPS_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/sweeps",
    "SEGUE_WEEKLY_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/weekly",
    "SEGUE_TOKEN_ISSUER": "https://issuer.example",
    "SEGUE_TOKEN_AUDIENCE": "segue",
    "SEGUE_TOKEN_KEYS_URL": "https://issuer.example/.well-known/jwks.json",
    "POWERTOOLS_SERVICE_NAME": "segue-gateway",
    "LOG_LEVEL": "INFO",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


def files(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


def test_the_session_layer_is_the_library_and_nothing_else(session_layer):
    source = ROOT / "layers" / "session"
    library = {
        name
        for name in files(source)
        if name.startswith("python/segue/") and not name.startswith("python/segue/cli/") and "__pycache__" not in name
    }

    assert files(session_layer) == library
    assert "python/segue/__init__.py" in library
    assert "python/segue/py.typed" in library


def test_no_layer_has_a_path_file_or_bytecode(session_layer, dependencies, authorizer_layer):
    for layer in (session_layer, dependencies, authorizer_layer):
        assert {each.name for each in layer.iterdir()} == {"python"}
        shipped = files(layer)
        # An editable or workspace install leaves a path file where code should be.
        assert not [name for name in shipped if name.endswith((".pth", ".egg-link", ".pyc"))]
        assert not [name for name in shipped if "__editable__" in name]


@pytest.mark.parametrize(("layer", "lock"), [("dependencies", "layer"), ("authorizer_layer", "authorizer")])
def test_a_third_party_layer_holds_what_its_lock_says(request, layer, lock):
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8").splitlines()
    locked = {
        line.split("==")[0].replace("-", "_") for line in lines if "==" in line and not line.startswith((" ", "#"))
    }

    found = {each.name.partition("-")[0] for each in (request.getfixturevalue(layer) / "python").glob("*.dist-info")}
    assert found == locked
    assert "strands_agents" not in found


def test_only_the_authorizer_has_the_cryptography_and_it_has_no_aws_sdk(dependencies, authorizer_layer):
    assert not (dependencies / "python" / "cryptography").exists()
    assert (authorizer_layer / "python" / "cryptography").is_dir()
    assert not (authorizer_layer / "python" / "botocore").exists()


def test_layers_and_functions_fit_into_lambda(session_layer, dependencies, gateway, janitor):
    folders = (session_layer, dependencies, gateway, janitor)
    size = sum(each.stat().st_size for folder in folders for each in folder.rglob("*"))

    assert size < LIMIT_BYTES / 2


def test_a_function_ships_what_it_imports_and_nothing_else(gateway, janitor):
    for folder in (gateway, janitor):
        assert not [name for name in files(folder) if not name.endswith(".py")]
    assert {name.partition("/")[0] for name in files(gateway)} == {"gateway", "shared"}
    assert {name.partition("/")[0] for name in files(janitor)} == {"janitor", "shared"}


def test_the_text_worker_fits_into_lambda_with_its_layers(session_layer, turn_dependencies, turn):
    size = sum(each.stat().st_size for folder in (session_layer, turn_dependencies, turn) for each in folder.rglob("*"))

    assert size < LIMIT_BYTES / 2
    shipped = files(turn_dependencies)
    assert not [name for name in shipped if name.endswith((".pth", ".egg-link", ".pyc"))]
    assert {"strands_agents", "boto3", "msgspec"} <= {
        each.name.partition("-")[0] for each in (turn_dependencies / "python").glob("*.dist-info")
    }
    assert {name.partition("/")[0] for name in files(turn)} == {"turn", "shared", "worker"}
    assert not [name for name in files(turn) if not name.endswith(".py")]


TURN = """
import json
from turn import handler
handler.turn_runner()
from worker.agent import build_text_agent
print(json.dumps([handler.__file__, type(build_text_agent(None).model).__name__]))
"""


@pytest.mark.parametrize(("provider", "model"), [("offline", "OfflineTextModel"), ("nova-sonic", "BedrockModel")])
def test_the_text_worker_imports_with_nothing_else(bare, session_layer, turn_dependencies, turn, provider, model):
    variables = {
        **FUNCTION_VARIABLES,
        "SEGUE_TURNS_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/turns.fifo",
        "SEGUE_MANAGEMENT_ENDPOINT": "https://a.execute-api.us-east-1.amazonaws.com/test",
        "SEGUE_PROVIDER": provider,
    }
    found = json.loads(bare(TURN, turn, session_layer / "python", turn_dependencies / "python", **variables))

    assert found == [str(turn / "turn" / "handler.py"), model]


IMPORTS = """
import importlib, json, sys
import segue, segue.lease.item, segue.wire, segue.wire.claims, segue.wire.frames
names = {names}
handlers = [callable(importlib.import_module(name).handler) for name in names]
strands = "strands" in sys.modules
named = ("segue", "msgspec", "boto3", names[0])
modules = {{name: importlib.import_module(name).__file__ for name in named}}  # the gateway imports no boto3
print(json.dumps({{"modules": modules, "handlers": handlers, "strands": strands}}))
"""


@pytest.mark.parametrize(
    "names",
    [
        ("gateway.message", "gateway.connect", "gateway.disconnect"),
        ("janitor.ended", "janitor.second_sweep", "janitor.weekly"),
    ],
    ids=["gateway", "janitor"],
)
def test_layers_and_functions_import_with_nothing_else(request, bare, session_layer, dependencies, names):
    package = request.getfixturevalue(names[0].partition(".")[0])
    folders = (package, session_layer / "python", dependencies / "python")
    found = json.loads(bare(IMPORTS.format(names=names), *folders, **FUNCTION_VARIABLES))

    assert found["handlers"] == [True, True, True]
    assert found["strands"] is False
    assert found["modules"]["segue"].startswith(str(session_layer))
    assert found["modules"]["msgspec"].startswith(str(dependencies))
    assert found["modules"]["boto3"].startswith(str(dependencies))
    assert found["modules"][names[0]].startswith(str(package))


def test_the_authorizer_imports_with_its_own_layers_and_nothing_else(bare, gateway, session_layer, authorizer_layer):
    code = """
import sys
import gateway.authorizer
gateway.authorizer.dependencies()
answer = gateway.authorizer.handler({"methodArn": "arn", "requestContext": {"connectionId": "c"}}, None)
print(answer["policyDocument"]["Statement"][0]["Effect"], sys.modules["jwt"].__file__)
"""
    shown = bare(code, gateway, session_layer / "python", authorizer_layer / "python", **FUNCTION_VARIABLES)

    effect, module = shown.splitlines()[-1].split()
    assert effect == "Deny"
    assert module.startswith(str(authorizer_layer))


def test_the_frames_need_no_aws_sdk(bare, session_layer, dependencies):
    loaded = bare(
        "import segue, segue.lease.item, segue.wire.frames\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))",
        session_layer / "python",
        dependencies / "python",
    )

    assert not [name for name in ("boto3", "botocore", "strands") if f"'{name}'" in loaded]


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "machine", "elf"), [("arm64", "aarch64", 183), ("x86_64", "x86_64", 62)])
@pytest.mark.parametrize(("lock", "prefix"), [(LAYER_LOCK, ""), (AUTHORIZER_LOCK, "authorizer-"), (TURN_LOCK, "turn-")])
def test_the_layers_for_aws_hold_code_for_their_machines(architecture, machine, elf, lock, prefix):
    built = build(from_context({"architecture": architecture}), lock)

    assert built.folder.name == f"{prefix}{machine}-manylinux_2_28"
    libraries = list((built.folder / "python").rglob("*.so"))
    assert libraries
    for library in libraries:
        header = library.read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert int.from_bytes(header[18:20], "little") == elf
