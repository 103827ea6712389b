"""The locks pin everything with hashes and name no host."""

from __future__ import annotations

import json
import re

import pytest

from local.settings import ROOT

NAMES = ("bootstrap", "dev", "emulator", "layer", "worker")


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned_with_hashes_and_no_host_is_named(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert pins
    assert [pin for pin in pins if not re.match(r"[a-z0-9.\-\[\]]+==\S+", pin)] == []
    assert text.count("--hash=sha256:") >= len(pins)


def test_layer_and_worker_locks_pin_the_tested_versions():
    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        return dict(re.findall(r"^([a-z0-9.\-]+)==(\S+)", text, re.MULTILINE))

    tested = pins("dev")
    for name in ("layer", "worker"):
        assert {package: tested.get(package) for package in pins(name)} == pins(name)


@pytest.mark.parametrize("folder", [".", "web"])
def test_the_npm_lock_has_hashes_and_no_host(folder):
    text = (ROOT / folder / "package-lock.json").read_text()
    assert "://" not in text, f"npm run lock (in {folder})"
    packages = {name: package for name, package in json.loads(text)["packages"].items() if name}
    assert packages
    assert all("integrity" in package and "resolved" not in package for package in packages.values())
