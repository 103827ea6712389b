"""The model providers: chosen by configuration, each with the same continuity.

settings    what was chosen, checked            table        what each provider takes and keeps
chosen      settings → a model                  history      a conversation cut to that
continuity  what is put around Strands' model   offers       handle, history, tools: the next best after a refusal
handles     resumption handles                  activity     whether something is under way on a connection
audio       resampling                          transcripts  one sentence, one message
heard       what was heard before a barge-in    again        what a new connection is sent again
errors      what a provider's error means       counting     metrics

Nothing here imports a provider's package; ``chosen`` imports the chosen one's. The names below are imported when they
are first asked for: ``worker.agent`` names this package, and the text function has no use for a voice model.
"""

from typing import TYPE_CHECKING

from segue.lazy import lazily

if TYPE_CHECKING:
    from worker.providers.chosen import build
    from worker.providers.continuity import ContinuousModel
    from worker.providers.errors import ProviderError, classify
    from worker.providers.heard import AnswerCut
    from worker.providers.settings import Settings
    from worker.providers.table import PROVIDERS

__all__ = ["PROVIDERS", "AnswerCut", "ContinuousModel", "ProviderError", "Settings", "build", "classify"]

__getattr__ = lazily(
    __name__,
    {
        "PROVIDERS": "worker.providers.table",
        "AnswerCut": "worker.providers.heard",
        "ContinuousModel": "worker.providers.continuity",
        "ProviderError": "worker.providers.errors",
        "Settings": "worker.providers.settings",
        "build": "worker.providers.chosen",
        "classify": "worker.providers.errors",
    },
)
"""Import a part when it is first asked for."""
