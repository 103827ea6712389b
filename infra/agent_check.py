"""The check of agent.py at synthesis: a file that cannot be imported, or builds no agent, is not deployed.

The emulator's stage leaves it out: ``python -m local`` has checked the file by then.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from infra.config import Config
from infra.constants import FUNCTIONS, ROOT, SESSION_LAYER, TURN_LOCK
from infra.setting_combinations import PROVIDER_KEYS
from infra.targets import EMULATOR

WORKER_LOCK: Final = ROOT / "requirements" / "worker.txt"
CHECK_SECONDS: Final = 300


class AgentError(RuntimeError):
    """agent.py cannot be deployed: correct what the message says, file and line first, and synthesize again."""


def check_agent(config: Config) -> None:
    """Import agent.py, and build the agents that this deployment has, with its model settings.

    Raises:
        AgentError: It has mistakes.
    """
    if config.target is EMULATOR:
        return
    # The command is fixed but for paths of this checkout.
    check = subprocess.run(  # noqa: S603
        _command(config),
        env={**os.environ, **_environment(config)},
        capture_output=True,
        text=True,
        timeout=CHECK_SECONDS,
        check=False,
    )
    if check.returncode != 0:
        raise AgentError(f"agent.py has mistakes, and nothing was synthesized:\n{check.stderr.strip()}")
    if check.stderr:
        sys.stderr.write(check.stderr)


def _command(config: Config) -> list[str]:
    """The command that checks the agents; the voice agent of an image from elsewhere is not in this checkout."""
    voice = config.voice and config.worker_image is None
    only = [] if voice and config.text else ["--only", "voice" if voice else "text"]
    locks = [*([WORKER_LOCK] if voice else []), *([TURN_LOCK] if config.text else [])]
    command = [sys.executable, "-m", "worker.agent_check", "--elsewhere", *only]
    return [*command, *(f"--lock={lock}" for lock in locks)]


def _environment(config: Config) -> dict[str, str]:
    """The settings of the deployment's model; instead of its key, which is a secret, a word that is none."""
    variables = {
        "SEGUE_PROVIDER": config.provider,
        "SEGUE_TEXT_MODEL_ID": config.text_model_id,
        "AWS_REGION": config.region or "us-east-1",
        PROVIDER_KEYS.get(config.provider, "SEGUE_NO_KEY"): "checked-without-a-key",
    }
    path = os.pathsep.join((str(FUNCTIONS), str(SESSION_LAYER / "python")))
    return (
        config.model_environment
        | {name: str(value) for name, value in variables.items() if value}
        | {"PYTHONPATH": path}
    )
