"""Judgement of ``make audit`` on the answers of advisory services."""

from __future__ import annotations

import json

import pytest

from local import audit


def package(name, **more):
    return {"name": name, "version": "1.0", **more}


@pytest.mark.parametrize(
    ("packages", "findings"),
    [
        ([package("a", vulns=[])], []),
        ([package("a", vulns=[{"id": "PYSEC-1"}]), package("b", vulns=[])], ["a 1.0: PYSEC-1"]),
        ([package("a", vulns=[{"id": "PYSEC-1"}]), {"name": "b", "skip_reason": "not found"}], ["a 1.0: PYSEC-1"]),
        ([{"name": "a", "skip_reason": "not found"}], None),
    ],
    ids=["clean", "vulnerable", "vulnerable beside an unknown one", "unknown alone"],
)
def test_vulnerable_python_packages_are_findings(packages, findings):
    assert audit.python_findings(json.dumps({"dependencies": packages})) == findings


def test_vulnerable_node_packages_are_findings():
    assert audit.node_findings(json.dumps({"vulnerabilities": {}})) == []
    assert audit.node_findings(json.dumps({"vulnerabilities": {"x": {"severity": "high"}}})) == ["x: high"]


@pytest.mark.parametrize("output", ["", "no json", '{"error": {"code": "EAUDIT"}}'])
def test_an_audit_without_an_answer_is_not_clean(output):
    assert audit.python_findings(output) is None
    assert audit.node_findings(output) is None


def test_a_known_advisory_fails_the_audit_and_a_silent_service_is_named(monkeypatch, tmp_path, capsys):
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "layer.txt").touch()
    answers = {"uv": json.dumps({"dependencies": [package("a", vulns=[{"id": "PYSEC-1"}])]}), "npm": ""}
    monkeypatch.setattr(audit, "_output", lambda command, _root: answers["uv" if audit.PIP_AUDIT in command else "npm"])

    assert audit.audit(tmp_path) == 1
    said = capsys.readouterr().out
    assert "layer.txt: a 1.0: PYSEC-1" in said
    assert "\npackage-lock.json: skipped" in said
    assert "web/package-lock.json: skipped" in said
    answers["uv"] = ""
    assert audit.audit(tmp_path) == 0
