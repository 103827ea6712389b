"""Amazon Nova Sonic on Bedrock: HTTP/2 event streams, credentials of the task's role."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final, cast

import boto3
from awscrt.io import ClientTlsContext, TlsContextOptions  # type: ignore[import-untyped]  # it has no marker
from strands.bidi.models import bedrock
from strands.bidi.models.bedrock import BedrockNovaSonicModel

from worker.providers.settings import Settings
from worker.providers.speech.truncation import Spoken
from worker.providers.table import PROVIDERS

PIECE_BYTES: Final = PROVIDERS["nova-sonic"].limits.piece_bytes.value or 0

INTERRUPTED: Final = '{"interrupted":true}'
"""The text of the block that marks an answer as interrupted."""

STOP_SECONDS: Final = 2.0
"""Seconds for a stream to end; after them it is abandoned. Its client waits until its writes are read, which a lost
connection never does."""


class PublishedNovaSonicModel(BedrockNovaSonicModel):
    """Strands' model within the limits that AWS publishes, which are narrower than those that it keeps itself.

    Source: https://docs.aws.amazon.com/nova/latest/nova2-userguide/sonic-chat-history.html, "One textInput cannot be
    larger than 1KB. If so, split into multiple textInputs in the same content block".
    """

    async def _send_nova_events(self, events: list[str]) -> None:
        await super()._send_nova_events([piece for event in events for piece in in_pieces(event)])

    def _convert_nova_event(self, nova_event: dict[str, Any], response_state: Any) -> list[Any]:
        text = nova_event.get("textOutput")
        if text is not None and "".join(text["content"].split()) == INTERRUPTED:
            return []  # a mark, and no words
        if text is not None and text["role"] == "ASSISTANT" and response_state.generation_stage == "FINAL":
            return [Spoken(text["content"])]  # Strands leaves it out
        return super()._convert_nova_event(nova_event, response_state)

    async def stop(self) -> None:
        """Close the connection; one that is dead already is given up, where its client would wait for ever."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await super().stop()
        except TimeoutError:
            await super().stop()  # the stream is gone by now; this closes the rest

    def _get_connection_end_event(self) -> str:
        # What AWS documents; Strands calls it connectionEnd.
        return json.dumps({"event": {"sessionEnd": {}}})


def in_pieces(event: str) -> Iterator[str]:
    """Yield an event, or what a too long text input is split into."""
    if len(event) <= PIECE_BYTES or '"textInput": {' not in event:
        yield event
        return
    parsed = json.loads(event)
    given = parsed["event"].get("textInput")
    if given is None:
        yield event
        return
    rest = given["content"].encode()
    while rest:
        # Not within a character: what is cut off of one comes with the next piece.
        text = rest[:PIECE_BYTES].decode(errors="ignore")
        rest = rest[len(text.encode()) :]
        yield json.dumps({"event": {"textInput": {**given, "content": text}}})


def make(settings: Settings) -> BedrockNovaSonicModel:
    """Make the model; it finds its credentials when it connects."""
    _redirect(settings.endpoint)
    options: dict[str, Any] = dict(settings.options)
    if settings.aws:
        credentials: dict[str, Any] = {**settings.aws, "region_name": options.pop("region", None)}
        options["boto_session"] = boto3.Session(**credentials)
    if settings.voice:
        options["voice"] = settings.voice
    audio = {"input": {"sample_rate": settings.input_rate}, "output": {"sample_rate": settings.output_rate}}
    return PublishedNovaSonicModel(model_id=settings.model_id, audio=cast("Any", audio), **options)


def _redirect(endpoint: str | None) -> None:
    """Let Strands' model connect to another address, and trust SSL_CERT_FILE as every other client does; None: undo.

    The address is built into Strands' model, so its client's configuration is what can be changed from outside.
    """
    module: Any = bedrock
    original = getattr(module.AsyncBedrockRuntimeConfig, "original", module.AsyncBedrockRuntimeConfig)

    if endpoint is None:
        module.AsyncBedrockRuntimeConfig = original
        return

    async def resolve(**values: Any) -> Any:
        values |= {"endpoint_uri": endpoint, "transport": _transport()}
        return await original.resolve(**values)

    module.AsyncBedrockRuntimeConfig = SimpleNamespace(resolve=resolve, original=original)


def _transport() -> Any:
    transport = bedrock._BedrockAWSCRTHTTPClient()  # noqa: SLF001 - what Strands uses itself; see the contract test
    if authorities := os.environ.get("SSL_CERT_FILE"):
        options = TlsContextOptions()
        options.override_default_trust_store_from_path(None, authorities)
        transport._tls_ctx = ClientTlsContext(options)  # noqa: SLF001 - it takes no such option
    return transport
