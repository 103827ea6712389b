"""The model providers: chosen by configuration, each with the same continuity.

    counters          metrics of model connections
    table             what each provider takes and keeps
    settings          what was chosen, checked
    connection/       a model's connection: opened, kept, replaced
    speech/           sample rates, sentences, and what of an answer was heard
    continuous_model  a model of Strands' with all of this around it
    gemini, nova      the models of Strands' that need more, one module a provider
    openai_realtime   the same
    openai_live       the same
    offline           the offline stand-in
    model_factory     from settings to a model
    access            whether the provider lets this account in

Nothing here imports a provider's package; ``model_factory`` imports the chosen one's. The names below are imported when
they are first asked for: ``worker.agent`` names this package, and the text function has no use for a voice model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segue.lazy import lazily

if TYPE_CHECKING:
    from shared.provider_errors import ProviderError, classify
    from worker.providers.continuous_model import ContinuousModel
    from worker.providers.model_factory import build
    from worker.providers.settings import Settings
    from worker.providers.speech.truncation import AnswerCut
    from worker.providers.table import PROVIDERS

__all__ = ["PROVIDERS", "AnswerCut", "ContinuousModel", "ProviderError", "Settings", "build", "classify"]

__getattr__ = lazily(
    __name__,
    {
        "PROVIDERS": "worker.providers.table",
        "AnswerCut": "worker.providers.speech.truncation",
        "ContinuousModel": "worker.providers.continuous_model",
        "ProviderError": "shared.provider_errors",
        "Settings": "worker.providers.settings",
        "build": "worker.providers.model_factory",
        "classify": "shared.provider_errors",
    },
)
"""Import a part when it is first asked for."""
