"""The chosen provider's model, made from its settings.

Only the chosen provider's packages are imported: each takes a second and 80 MB.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from strands.bidi.models import BidiModel

from shared.environment_problem import EnvironmentProblem
from worker.providers.continuous_model import ContinuousModel
from worker.providers.settings import Settings

MAKERS: Final = {
    "nova-sonic": "worker.providers.nova",
    "openai-realtime": "worker.providers.openai_realtime",
    "openai-live": "worker.providers.openai_live",
    "gemini-live": "worker.providers.gemini",
    "offline": "worker.providers.offline",
}
"""The module of each provider; each has ``make(settings)``."""


def build(settings: Settings) -> ContinuousModel:
    """Make the provider's model of Strands and put around it what keeps a conversation going.

    Raises:
        EnvironmentProblem: The provider's package is missing, or refuses the settings.
    """
    name = settings.provider.name
    try:
        maker: Any = importlib.import_module(MAKERS[name])
    except ImportError as error:
        raise EnvironmentProblem(f"{name} cannot be used: {error}; see docs/providers.md for its package") from error
    try:
        model: BidiModel = maker.make(settings)
    except (TypeError, ValueError) as error:
        raise EnvironmentProblem(f"{name} refuses its settings: {error}") from error
    return ContinuousModel(model, settings)
