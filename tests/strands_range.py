"""Try releases of Strands: what is relied on in them, and the providers' fakes with their models.

python -m tests.strands_range 1.62.0 1.63.0     # each end of the range that pyproject.toml is to have

Each is installed into an environment of its own in a temporary folder, beside what requirements/dev.txt locks.
Exit code: 0 all passed, 1 one did not.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = ROOT / ".venv" / "bin" / "uv"
TRIED = [["tests/unit/providers/test_contract.py"], ["tests/unit/providers", "tests/integration/providers"]]
"""First what names what is lacking; without that the others may not even be imported."""


def passes(version: str) -> bool:
    """Install a release, and run what depends on it; what is lacking is printed by the tests."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "override.txt").write_text(f"strands-agents=={version}\n")
        python = home / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
        options = ["--quiet", "--no-verify-hashes", "--override", home / "override.txt"]
        install = [UV, "pip", "install", "--python", python, *options, "-r", ROOT / "requirements" / "dev.txt"]
        subprocess.run(install, check=True, cwd=ROOT)
        pytest = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        return all(subprocess.run([*pytest, *tests], check=False, cwd=ROOT).returncode == 0 for tests in TRIED)


if __name__ == "__main__":
    results = {version: passes(version) for version in sys.argv[1:]}
    for version, passed in results.items():
        print(f"strands-agents {version}: {'passes' if passed else 'does not pass'}")
    sys.exit(not results or not all(results.values()))
