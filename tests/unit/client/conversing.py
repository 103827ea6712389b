"""A conversation without I/O, and a holder's half of it: what tests of the client's core say and hear."""

from __future__ import annotations

from segue.client.conversation import Conversation
from segue.client.settings import ClientSettings
from segue.lease.item import Known
from segue.wire.frames import (
    AudioOutput,
    Ready,
    encode_frame,
)

JUNK = '{"message": "Internal server error", "connectionId":"x", "requestId":"y"}'
AUDIO_1_3 = AudioOutput(epoch=1, seq=3, audio="AAAA", rate=8000)


def conversation(**changes):
    return Conversation("s", "c", "voice", ClientSettings(**changes))


def ready(epoch=1, seq=1, *, known=None, head=0, since=None, window=None):
    known = known or Known()
    return Ready(epoch=epoch, seq=seq, session="s", known=known, history=0, head=head, since=since, window=window)


def hear(client, *frames, now=0.0, link=None):
    return [event for frame in frames for event in client.received(encode_frame(frame), now, link or client.counter)]


def outgoing(client, now, link=None):
    return client.outgoing(now, link or client.counter)


def greeted(**changes):
    client = conversation(**changes)
    client.connected(0.0)
    outgoing(client, 0.0)
    hear(client, ready())
    return client


def kinds(frames):
    return [type(frame).__name__ for frame in frames]
