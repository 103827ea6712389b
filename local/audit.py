"""Ask public advisories about everything that is locked: ``make audit``.

Exit codes: 0 nothing is known, or no advisory service could be reached (which is said); 1 something is known.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP_AUDIT = "pip-audit==2.10.1"
"""Run in an environment of its own, so that nothing of it comes into ours."""
SECONDS = 120
"""For one lock; a service that does not answer by then cannot be reached."""


def python_findings(output: str) -> list[str] | None:
    """Vulnerabilities in pip-audit's JSON; None if no advisory service could be reached."""
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError):
        return None
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        return None
    return [f"{each['name']} {each['version']}: {vuln['id']}" for each in asked for vuln in each["vulns"]]


def node_findings(output: str) -> list[str] | None:
    """Return the findings in npm's JSON."""
    try:
        packages = json.loads(output)["vulnerabilities"]
    except (ValueError, KeyError):
        return None
    return [f"{name}: {each['severity']}" for name, each in packages.items()]


def audit(root: Path = ROOT) -> int:
    """Audit all locks; returns the exit code."""
    any_known = False
    uv = Path(sys.executable).parent / "uv"
    for lock in sorted((root / "requirements").glob("*.txt")):
        options = ["--require-hashes", "--disable-pip", "--format", "json", "--requirement", str(lock)]
        any_known |= _print_findings(
            lock.name, python_findings(_output([str(uv), "tool", "run", PIP_AUDIT, *options], root))
        )
    npm = shutil.which("npm")
    for folder in ("", "web/"):
        findings = node_findings(_output([npm, "audit", "--json"], root / folder)) if npm else None
        any_known |= _print_findings(f"{folder}package-lock.json", findings)
    return int(any_known)


def _print_findings(name: str, findings: list[str] | None) -> bool:
    if findings is None:
        print(f"{name}: skipped, the advisory service cannot be reached from here")  # noqa: T201 - it is a command
        return False
    print(f"{name}: " + ("; ".join(findings) or "nothing is known"))  # noqa: T201
    return bool(findings)


def _output(command: Sequence[str], root: Path) -> str:
    try:
        # Commands of ours with paths of this checkout.
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


if __name__ == "__main__":
    sys.exit(audit())
