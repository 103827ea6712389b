"""The model providers: chosen by configuration, each with the same continuity.

    counters            metrics
    errors              what a provider's error means
    table               what each provider takes and keeps
    settings            what was chosen, checked
    history             a conversation cut to what a provider takes
    offers              handle, history, tools: the next best after a refusal
    resumption_handles  handles by which a connection goes on
    connecting          a connection with the best that the provider takes
    event_pump          a model's events, read in one task
    opened              a connection that is open before its agent starts
    connection          all of these: opened, taken over, closed
    activity            whether something is under way on a connection
    reconnections       how many lost connections are replaced, and when
    endings             what the end of a connection means
    heard               the part of an answer that was heard before a barge-in
    unheard             the rest of it, told to providers that remember
    resending           input that a new connection is sent again
    resampling          the client's rates and the provider's
    transcripts         one sentence, one message
    continuity          a model of Strands' with all of this around it
    access              whether the provider lets this account in
    chosen              from settings to a model

and a module for each provider whose model of Strands' needs more: ``gemini``, ``nova``, ``openai_live``,
``openai_realtime``, ``offline``.

Nothing here imports a provider's package; ``chosen`` imports the chosen one's. The names below are imported when they
are first asked for: ``worker.agent`` names this package, and the text function has no use for a voice model.
"""

from __future__ import annotations

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
