"""docs/protocol.md names every frame, every field and every error code that there is, and its examples are true."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import pytest

from segue.wire import frames
from segue.wire.audio import LONGEST_SECONDS, SHORTEST_SECONDS
from segue.wire.fields import IMAGE_PART_BYTES, MAX_IMAGE_PARTS
from segue.wire.images import MAX_IMAGE_BYTES
from segue.wire.rate import FRAME_BURST, FRAMES_PER_SECOND
from segue.wire.receiver import WINDOW
from segue.wire.sender import SenderSettings

DOCUMENT = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
CLIENT = typing.get_args(frames.ClientFrame)
SERVER = typing.get_args(frames.ServerFrame)
SENDER = SenderSettings()
EVERYWHERE = {"epoch", "seq", "trace"}
EXAMPLES = re.findall(r"^([<>]) (.+)$", DOCUMENT.split("## Examples\n")[1].split("```")[1], re.MULTILINE)


def section(title):
    return DOCUMENT.split(f"## {title}\n")[1].split("\n## ")[0]


def row_of(title, tag):
    """The table row of a frame in its section."""
    (row,) = [line for line in section(title).splitlines() if line.startswith(f"| `{tag}` |")]
    return row


@pytest.mark.parametrize("frame", CLIENT, ids=lambda frame: frame.__name__)
def test_document_names_all_fields_of_a_client_frame(frame):
    row = row_of("Frames of the client", frame.__struct_config__.tag)
    assert all(f"`{field}`" in row for field in frame.__struct_fields__ if field != "trace")


@pytest.mark.parametrize("frame", SERVER, ids=lambda frame: frame.__name__)
def test_document_names_all_fields_of_a_server_frame(frame):
    row = row_of("Frames of the server", frame.__struct_config__.tag)
    assert all(f"`{field}`" in row for field in frame.__struct_fields__ if field not in EVERYWHERE)


def test_no_frame_is_made_up():
    for title, known in (("Frames of the client", CLIENT), ("Frames of the server", SERVER)):
        tags = re.findall(r"^\| `(\w+)` \|", section(title), re.MULTILINE)
        assert sorted(tags) == sorted(frame.__struct_config__.tag for frame in known)


@pytest.mark.parametrize("code", frames.MESSAGES)
def test_document_says_of_each_error_code_if_it_is_retryable(code):
    (row,) = [
        line for line in section("Errors").splitlines() if line.startswith("|") and f"`{code}`" in line.split("|")[1]
    ]
    assert ("| yes |" in row) == (code in frames.RETRYABLE_CODES)


@pytest.mark.parametrize(("who", "message"), EXAMPLES, ids=[message[:40] for _, message in EXAMPLES])
def test_examples_are_frames_and_say_all_that_they_seem_to_say(who, message):
    if who == ">":
        assert frames.encode_frame(frames.decode_client_frame(message)) == message
    else:
        assert frames.encode_batch(frames.decode_server_message(message)) == message


def test_there_is_an_example_of_all_that_a_client_says():
    shown = {frames.decode_client_frame(message).__class__ for who, message in EXAMPLES if who == ">"}
    assert shown == set(CLIENT)


@pytest.mark.parametrize(
    "fact",
    [
        f"{frames.MAX_FRAME_BYTES:,} bytes",
        f"{SHORTEST_SECONDS * 1000:.0f} to {LONGEST_SECONDS * 1000:.0f} ms",
        f"{IMAGE_PART_BYTES:,} bytes in a part",
        f"{MAX_IMAGE_PARTS} parts and {MAX_IMAGE_BYTES:,} bytes",
        f"({FRAMES_PER_SECOND:.0f}, and {FRAME_BURST} at once)",
        f"{WINDOW} numbers ahead",
        f"({SENDER.rate:.0f} frames a second, {SENDER.burst} at once)",
        f"{SENDER.audio_bytes:,} characters of audio",
        f"beyond {SENDER.lasting_bytes:,} characters",
        f"text {SENDER.text_timeout:.0f} s, audio {SENDER.audio_timeout:.0f} s, images {SENDER.image_timeout:.0f} s",
    ],
)
def test_numbers_are_the_codes(fact):
    assert fact in DOCUMENT
