"""docs/protocol.md names every frame, every field and every error code that there is."""

import typing
from pathlib import Path

import pytest

from segue.wire import frames

DOCUMENT = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
CLIENT = typing.get_args(frames.ClientFrame.__value__)
SERVER = typing.get_args(frames.ServerFrame.__value__)


def row_of(section, tag):
    """The table row of a frame in its section."""
    text = DOCUMENT.split(f"## {section}\n")[1].split("\n## ")[0]
    (row,) = [line for line in text.splitlines() if line.startswith(f"| `{tag}` |")]
    return row


@pytest.mark.parametrize("frame", CLIENT, ids=lambda frame: frame.__name__)
def test_client_frames(frame):
    row = row_of("Frames of the client", frame.__struct_config__.tag)
    assert all(f"`{field}`" in row for field in frame.__struct_fields__)


@pytest.mark.parametrize("frame", SERVER, ids=lambda frame: frame.__name__)
def test_server_frames(frame):
    row = row_of("Frames of the server", frame.__struct_config__.tag)
    assert all(f"`{field}`" in row for field in frame.__struct_fields__ if field not in {"epoch", "seq"})


@pytest.mark.parametrize("code", frames.MESSAGES)
def test_error_codes(code):
    (row,) = [line for line in DOCUMENT.splitlines() if line.startswith("| `") and f"`{code}`" in line.split("|")[1]]
    assert ("| yes |" in row) == (code in frames.RETRYABLE_CODES)
