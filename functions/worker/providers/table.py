"""Limits of the providers: one typed row a provider, each figure with its source.

``docs/providers.md`` shows the same figures; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["user", "assistant"]

STRANDS_NOVA: Final = "Strands 1.62, strands/bidi/models/bedrock.py"
STRANDS_OPENAI: Final = "Strands 1.62, strands/bidi/models/openai/realtime.py"
STRANDS_LIVE: Final = "Strands 1.62, strands/bidi/models/openai/live.py"
STRANDS_GEMINI: Final = "Strands 1.62, strands/bidi/models/google.py"
NOVA_GUIDE: Final = "https://docs.aws.amazon.com/nova/latest/nova2-userguide/sonic-chat-history.html"
NOVA_SESSION: Final = "https://github.com/pipecat-ai/pipecat/pull/4015"
OPENAI_GUIDE: Final = "https://developers.openai.com/api/docs/guides/realtime-conversations"
GEMINI_GUIDE: Final = "https://ai.google.dev/gemini-api/docs/live-session"
OPENAI_ITEMS: Final = (
    "https://learn.microsoft.com/en-us/javascript/api/@azure/ai-projects/realtimeclienteventconversationitemcreate"
)
GEMINI_SEEDING: Final = "https://github.com/google/adk-python/issues/5018"


@dataclass(frozen=True, slots=True)
class PublishedLimit:
    """A provider's published limit, and where it is published.

    Attributes:
        value: The limit; None: the provider publishes none.
        source: Who says so.
    """

    value: int | None
    source: str


UNLIMITED: Final = PublishedLimit(None, "")


@dataclass(frozen=True, slots=True)
class Additions:
    """Models of a provider that take messages of the history after their connection was opened.

    Attributes:
        models: A regular expression that such a model's id matches; None: no model does.
        source: Who says so.
    """

    models: str | None
    source: str

    def taken_by(self, model_id: str) -> bool:
        """Return true if a model takes them."""
        return self.models is not None and re.search(self.models, model_id) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A provider's limits on the history that it is given.

    Attributes:
        text_only: Tool uses and results are not taken; they are left out.
        message_bytes: UTF-8 bytes of one message's text; what is longer is shortened.
        piece_bytes: UTF-8 bytes of text in one event; what is longer is sent in several.
        total_bytes: UTF-8 bytes of all texts; with tools, of the messages' JSON.
        roles: The roles that it takes.
        first_role: The role of the first message; None: either.
        source: The page that says which content and roles it takes.
    """

    text_only: bool
    message_bytes: PublishedLimit
    total_bytes: PublishedLimit
    piece_bytes: PublishedLimit = UNLIMITED
    roles: tuple[Role, ...] = ("user", "assistant")
    first_role: Role | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider.

    Attributes:
        name: What SEGUE_PROVIDER is set to.
        default_model: What SEGUE_MODEL_ID is if it is not set.
        model_pattern: A regular expression that some part of a model id matches.
        keys: Environment variables of which one has to be set; empty: none is needed.
        options: What SEGUE_PROVIDER_OPTIONS may contain.
        input_rates: Samples a second that the provider hears, its usual one first; empty: any.
        output_rates: Samples a second that it speaks, its usual one first.
        limits: What it takes of a conversation so far.
        additions: Whether it takes more of it later; see RFC 0028.
        connection_seconds: How long it keeps a connection.
        handle_seconds: How long its resumption handle is good after the connection; None: it has no handle.
    """

    name: str
    default_model: str
    model_pattern: str
    keys: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    input_rates: tuple[int, ...]
    output_rates: tuple[int, ...]
    limits: Limits
    additions: Additions
    connection_seconds: PublishedLimit
    handle_seconds: PublishedLimit | None = None


PROVIDERS: Final[Mapping[str, Provider]] = {
    provider.name: provider
    for provider in (
        Provider(
            name="nova-sonic",
            default_model="amazon.nova-2-sonic-v1:0",
            model_pattern=r"sonic|^arn:",
            options=("params", "connection", "region"),
            input_rates=(16000, 8000, 24000),
            output_rates=(16000, 8000, 24000),
            limits=Limits(
                text_only=True,
                # Strands cuts at 50 KB a message and 200 KB in all; AWS publishes less, and the smaller figure holds.
                message_bytes=PublishedLimit(40 * 1024, NOVA_GUIDE),
                total_bytes=PublishedLimit(40 * 1024, NOVA_GUIDE),
                piece_bytes=PublishedLimit(1024, NOVA_GUIDE),
                first_role="user",
                source=STRANDS_NOVA,
            ),
            additions=Additions(None, NOVA_GUIDE),
            connection_seconds=PublishedLimit(8 * 60, NOVA_SESSION),
        ),
        Provider(
            name="openai-realtime",
            default_model="gpt-realtime-2.1",
            model_pattern=r"realtime",
            keys=("OPENAI_API_KEY",),
            options=("params", "connection", "transcription_model_id", "organization", "project", "timeout_s"),
            input_rates=(24000,),
            output_rates=(24000,),
            limits=Limits(
                text_only=False,
                message_bytes=PublishedLimit(None, OPENAI_GUIDE),
                total_bytes=PublishedLimit(None, OPENAI_GUIDE),
                source=STRANDS_OPENAI,
            ),
            additions=Additions(r"realtime", OPENAI_ITEMS),
            connection_seconds=PublishedLimit(60 * 60, OPENAI_GUIDE),
        ),
        Provider(
            name="openai-live",
            default_model="gpt-live-1",
            model_pattern=r"live",
            keys=("OPENAI_API_KEY",),
            options=("connection", "delegation_model_id"),
            input_rates=(24000, 16000),
            output_rates=(24000, 16000),
            limits=Limits(
                text_only=True,
                message_bytes=PublishedLimit(None, STRANDS_LIVE),
                total_bytes=PublishedLimit(None, STRANDS_LIVE),
                source=STRANDS_LIVE,
            ),
            additions=Additions(None, STRANDS_LIVE),
            connection_seconds=PublishedLimit(None, STRANDS_LIVE),
        ),
        Provider(
            name="gemini-live",
            default_model="gemini-3.8-live",
            model_pattern=r"live|native-audio",
            keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            options=("params", "connection", "client_args"),
            input_rates=(16000, 8000, 24000, 48000),
            output_rates=(24000,),
            limits=Limits(
                text_only=True,
                message_bytes=PublishedLimit(None, GEMINI_GUIDE),
                total_bytes=PublishedLimit(None, GEMINI_GUIDE),
                source=STRANDS_GEMINI,
            ),
            additions=Additions(None, GEMINI_SEEDING),
            connection_seconds=PublishedLimit(10 * 60, GEMINI_GUIDE),
            handle_seconds=PublishedLimit(2 * 60 * 60, GEMINI_GUIDE),
        ),
        Provider(
            name="offline",
            default_model="offline",
            model_pattern=r"",
            options=("limit_s", "pace", "connection", "start_s", "additions"),
            input_rates=(16000, 8000, 24000, 48000),
            output_rates=(16000, 8000, 24000, 48000),
            limits=Limits(
                text_only=False,
                message_bytes=PublishedLimit(None, "segue.testing.offline"),
                total_bytes=PublishedLimit(None, "segue.testing.offline"),
                source="segue.testing.offline",
            ),
            additions=Additions(r"^offline$", "segue.testing.offline"),
            connection_seconds=PublishedLimit(None, "segue.testing.offline"),
        ),
    )
}
"""All providers, by name."""
