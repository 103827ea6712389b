"""The protocol as an AsyncAPI 3 document, made from the types that read and write it.

    python -m segue.wire.schema > docs/protocol.asyncapi.json

What JSON Schema cannot say is checked by the code alone: that base64 is canonical, that audio is whole samples, that a
message has at most 32 KB, what follows what.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, Final, get_args

import msgspec

from segue.wire.client_frames import ClientFrame
from segue.wire.codes import MESSAGES, RETRYABLE_CODES
from segue.wire.fields import MAX_FRAME_BYTES
from segue.wire.server_frames import ServerFrame

REFERENCE: Final = "#/components/schemas/{name}"

BATCH: Final = "Batch"
"""The name of a message with several server frames. It is no type: ``decode_server_message`` takes it apart."""


def document() -> dict[str, Any]:
    """The whole AsyncAPI document, seen from the server: it receives client frames and sends server frames."""
    client, server = _names(ClientFrame), _names(ServerFrame)
    schemas = _schemas((*get_args(ClientFrame), *get_args(ServerFrame)))
    schemas[BATCH] = {
        "title": BATCH,
        "description": "Several frames that waited for the same sending, in order.",
        "type": "array",
        "items": {"oneOf": [{"$ref": REFERENCE.format(name=name)} for name in server]},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Segue wire protocol",
            "version": "1.0.0",
            "description": "How a client and the holder of a session talk to each other. Read docs/protocol.md first: "
            "a schema says what a frame looks like, not when it is said. Unknown fields and unknown types are ignored.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "session": {
                "address": "/",
                "title": "A WebSocket of one client",
                "description": f"Text messages of at most {MAX_FRAME_BYTES} bytes. Subprotocols: segue.v1, and "
                "bearer.<token> for who shows a token.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in (*client, *server, BATCH)},
            }
        },
        "operations": {
            "receive": _operation("receive", "What a client says: one frame a message.", client),
            "send": _operation("send", "What the server says: one frame a message, or a batch.", (*server, BATCH)),
        },
        "components": {
            "messages": {name: _message(name, schemas[name]) for name in (*client, *server, BATCH)},
            "schemas": schemas,
        },
        "x-error-codes": {code: {"message": MESSAGES[code], "retryable": code in RETRYABLE_CODES} for code in MESSAGES},
    }


def render() -> str:
    """The document as it is kept."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _names(frames: Any) -> tuple[str, ...]:
    return tuple(frame.__name__ for frame in get_args(frames))


def _operation(action: str, summary: str, names: Iterable[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/session"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/session/messages/{name}"} for name in names],
    }


def _message(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": schema["properties"]["type"]["enum"][0] if "properties" in schema else name,
        "title": name,
        "summary": schema["description"],
        "payload": {"$ref": REFERENCE.format(name=name)},
    }


def _schemas(types: Iterable[Any]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    return {name: _portable(schema) for name, schema in components.items()}


def _portable(schema: Any) -> Any:
    """Python's regular expressions as JSON Schema's, and of a docstring its summary, in Markdown."""
    if isinstance(schema, list):
        return [_portable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    portable = {key: _portable(value) for key, value in schema.items()}
    if isinstance(pattern := portable.get("pattern"), str):
        portable["pattern"] = pattern.replace(r"\A", "^").replace(r"\Z", "$")
    if isinstance(description := portable.get("description"), str):
        summary = " ".join(description.partition("\n\nAttributes:")[0].split())
        portable["description"] = summary.replace("``", "`")  # as Markdown has it
    return portable


if __name__ == "__main__":
    sys.stdout.write(render())
