"""A kept assembly is used as long as nothing that it is made from has changed, and no longer."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import time
from pathlib import Path

import pytest

from infra import constants
from local.deployment import assemblies
from local.deployment.assemblies import Assemblies, fingerprint
from local.errors import LocalError
from local.settings import ROOT

OPTIONS = ["--context", "version=PLACE"]


@pytest.fixture
def root(tmp_path):
    """A checkout with one source of each kind."""
    root = tmp_path / "checkout"
    for name in (
        "infra/app.py",
        "functions/worker/app.py",
        "layers/session/python/segue/ids.py",
        "requirements/dev.txt",
    ):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("1", encoding="utf-8")
    (root / ".venv/lib/python3.13/site-packages/aws_cdk_lib-2.1.dist-info").mkdir(parents=True)
    (root / "cdk.json").write_text("{}", encoding="utf-8")
    return root


@pytest.fixture
def environment(tmp_path):
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}


METADATA = {
    "/One/Table": [
        {"type": "aws:cdk:logicalId", "data": "Table"},
        {"type": "aws:cdk:creationStack", "data": ["no user code"]},
        {"type": "aws:cdk:analytics:construct", "data": "*"},
    ],
    "/One": [{"type": "aws:cdk:acknowledged-rules", "data": {}}],
    "/One/Queue": [{"type": "aws:cdk:warning", "data": "no dead letters"}],
}
"""Of the stack's constructs."""


class Synthesis:
    """Makes an assembly with one stack, and counts."""

    def __init__(self, meanwhile=lambda: None):
        self.count, self._meanwhile = 0, meanwhile

    async def __call__(self, folder):
        self.count += 1
        self._meanwhile()
        template = '{"Version": "PLACE", "Other": "PLACE"}'
        name = hashlib.sha256(template.encode()).hexdigest()
        (folder / "asset.1").mkdir(parents=True)
        (folder / "asset.1" / "code.py").write_text("pass", encoding="utf-8")
        (folder / "One.template.json").write_text(template, encoding="utf-8")
        (folder / "One.assets.json").write_text(json.dumps({"objectKey": f"{name}.json"}), encoding="utf-8")
        (folder / "manifest.json").write_text(json.dumps({"url": f"s3://bucket/{name}.json"}), encoding="utf-8")
        (folder / "One.metadata.json").write_text(json.dumps(METADATA), encoding="utf-8")
        (folder / "cdk.out").write_text('{"version":"1"}', encoding="utf-8")


async def written(root, environment, target, synthesis, value="7"):
    await Assemblies(root).write(target, OPTIONS, environment, {"PLACE": value}, synthesis)


CHANGES = {
    "a file of the app": lambda root, _: (root / "infra/app.py").write_text("2", encoding="utf-8"),
    "a new file": lambda root, _: (root / "functions/worker/new.py").touch(),
    "a file that is gone": lambda root, _: (root / "functions/worker/app.py").unlink(),
    "another name": lambda root, _: (root / "infra/app.py").rename(root / "infra/main.py"),
    "another mode": lambda root, _: (root / "infra/app.py").chmod(0o700),
    "the library": lambda root, _: (root / "layers/session/python/segue/ids.py").write_text("2", encoding="utf-8"),
    "a lock": lambda root, _: (root / "requirements/dev.txt").write_text("2", encoding="utf-8"),
    "cdk.json": lambda root, _: (root / "cdk.json").write_text("{ }", encoding="utf-8"),
    "looked-up context": lambda root, _: (root / "cdk.context.json").write_text("{}", encoding="utf-8"),
    "the user's own settings": lambda root, _: (root.parent / ".cdk.json").write_text("{}", encoding="utf-8"),
    "an installed package": lambda root, _: (
        root / ".venv/lib/python3.13/site-packages/constructs-10.1.dist-info"
    ).mkdir(),
    "an installed command line": lambda root, _: (
        (root / "node_modules").mkdir(),
        (root / "node_modules/.package-lock.json").touch(),
    ),
    "a variable": lambda _, environment: environment.update(JSII_DEBUG="1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_an_assembly_is_synthesized_anew_when_its_sources_change(root, environment, tmp_path, change):
    synthesis = Synthesis()
    for _ in range(2):
        await written(root, environment, tmp_path / "cdk.out", synthesis)
    assert synthesis.count == 1

    change(root, environment)
    await written(root, environment, tmp_path / "cdk.out", synthesis)

    assert synthesis.count == 2


def test_options_and_nothing_of_a_single_stack_are_in_the_key(root, environment):
    key = fingerprint(root, OPTIONS, environment)

    assert fingerprint(root, [*OPTIONS, "--context", "worker_count=3"], environment) != key
    assert fingerprint(root, OPTIONS, environment | {"AWS_ENDPOINT_URL": "http://127.0.0.1:2"}) == key
    (root / "infra" / "__pycache__").mkdir()
    (root / "infra" / "__pycache__" / "app.pyc").touch()
    assert fingerprint(root, OPTIONS, environment) == key


def test_all_that_the_app_reads_or_imports_of_the_checkout_is_in_the_key():
    read = {path for path in vars(constants).values() if isinstance(path, Path)} - {ROOT}
    imports = re.compile(r"^(?:from|import) (\w+)", re.MULTILINE)
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "infra").rglob("*.py")]
    imported = {ROOT / name for text in texts for name in imports.findall(text) if (ROOT / name).is_dir()}

    folders = [ROOT / source for source in assemblies.SOURCES]
    assert ROOT / "infra" in imported
    assert not [path for path in read | imported if not any(path.is_relative_to(folder) for folder in folders)]


async def test_each_deployment_has_values_of_its_own_and_templates_are_named_by_their_content(
    root, environment, tmp_path
):
    synthesis, names = Synthesis(), set()
    for value in ("7", "8"):
        target = tmp_path / "cdk.out"
        await written(root, environment, target, synthesis, value)
        template = (target / "One.template.json").read_text(encoding="utf-8")
        name = hashlib.sha256(template.encode()).hexdigest()
        names.add(name)
        assert json.loads(template) == {"Version": value, "Other": value}
        assert json.loads((target / "One.assets.json").read_text(encoding="utf-8")) == {"objectKey": f"{name}.json"}
        assert json.loads((target / "manifest.json").read_text(encoding="utf-8")) == {"url": f"s3://bucket/{name}.json"}
        assert (target / "asset.1" / "code.py").read_text(encoding="utf-8") == "pass"
        assert (target / "cdk.out").is_file()
    assert len(names) == 2
    assert synthesis.count == 1


async def test_metadata_that_no_deployment_shows_is_left_out(root, environment, tmp_path):
    await written(root, environment, tmp_path / "cdk.out", Synthesis())
    assert json.loads((tmp_path / "cdk.out" / "One.metadata.json").read_text(encoding="utf-8")) == {
        "/One/Table": [{"type": "aws:cdk:logicalId", "data": "Table"}],
        "/One/Queue": [{"type": "aws:cdk:warning", "data": "no dead letters"}],
    }


async def test_two_stacks_at_once_synthesize_once(root, environment, tmp_path):
    synthesis = Synthesis()

    await asyncio.gather(*(written(root, environment, tmp_path / name, synthesis) for name in "ab"))

    assert synthesis.count == 1
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()


async def test_an_interrupted_synthesis_is_not_used(root, environment, tmp_path):
    def fails():
        raise LocalError("cdk synth failed")

    with pytest.raises(LocalError, match="cdk synth failed"):
        await written(root, environment, tmp_path / "cdk.out", Synthesis(fails))
    synthesis = Synthesis()
    await written(root, environment, tmp_path / "cdk.out", synthesis)

    assert synthesis.count == 1


async def test_a_source_that_changes_during_a_synthesis_does_not_make_an_assembly_of_neither(
    root, environment, tmp_path
):
    changes = iter("234")

    def changed():
        if (text := next(changes, None)) is not None:
            (root / "infra/app.py").write_text(text, encoding="utf-8")

    with pytest.raises(LocalError, match="sources change"):
        await written(root, environment, tmp_path / "cdk.out", Synthesis(changed))
    assert not (tmp_path / "cdk.out").exists()

    await written(root, environment, tmp_path / "cdk.out", Synthesis())
    assert (tmp_path / "cdk.out" / "manifest.json").exists()


async def test_assemblies_that_are_not_used_any_more_are_removed(root, environment, tmp_path, monkeypatch):
    monkeypatch.setattr(assemblies, "KEPT", 2)
    folder = root / ".segue" / "assemblies"

    async def kept_after(text):
        (root / "infra/app.py").write_text(text, encoding="utf-8")
        await written(root, environment, tmp_path / "cdk.out", Synthesis())
        return [path for path in folder.iterdir() if path.is_dir()]

    for text in "234":
        there = await kept_after(text)
    assert len(there) == 3, "each may be in use"
    long_ago = time.time() - 2 * assemblies.UNUSED_SECONDS
    for path in there:
        os.utime(path, (long_ago, long_ago))

    assert len(await kept_after("5")) == 2
    assert folder.parent.stat().st_mode & 0o777 == 0o700
