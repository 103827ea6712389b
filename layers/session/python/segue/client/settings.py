"""Times and limits of the client. All times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from segue.wire.sender import SenderSettings


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Times, in seconds, and limits of a client.

    Attributes:
        sender: when input is sent again, how fast, and how much of it is kept.
        ready_timeout: for the first ``Ready``.
        hello_interval: between two hellos that were not answered, at first; it grows by half each time.
        longest_hello_interval: where it stops growing.
        shortest_hello_interval: two hellos are never closer together.
        page_timeout: how long a page of the conversation is waited for before it is asked for again.
        gap_patience: how long a server frame waits for those before it.
        ack_delay: how long journal content that was shown may go unacknowledged; acknowledgements add up.
        busy_pause: no input for so long after the server said that it is busy, or that this is too fast.
        ping_interval: API Gateway ends a connection after 10 idle minutes; a ping goes after so long without a word.
        silence_timeout: when something was said and nothing heard for so long, a ping asks whether the other end is
            there.
        pong_timeout: a connection that is silent for so long after a ping is given up; after half of it, the client
            asks once more.
        received_timeout: on a direct connection, input that is not confirmed, or a hello that nothing answers, for so
            long opens the next one beside it; longer on a slow path, and doubled each time in a row. A handshake after
            a direct connection has as long.
        connection_lifetime: API Gateway ends a connection after 2 hours; after so long a new one is opened beside it.
        lifetime_jitter: up to this part of the lifetime is taken off by chance, so that clients that came together do
            not come back together.
        overlap: how long the old connection is still listened to once the new one has taken over.
        connect_timeout: for one attempt to connect.
        direct_connect_timeout: the longest after a direct connection: a worker that hangs answers no handshake, and the
            next attempt may lead to another.
        first_backoff: the longest pause before the first new attempt; doubled for each after it, with full jitter.
        longest_backoff: where it stops growing.
        give_up_after: without a connection for so long, the client ends with ``ConnectionLost``.
        close_timeout: for a clean end.
        event_capacity: events that wait for ``events()``; beyond it the oldest audio and partial transcripts are
            dropped.
        lasting_capacity: journal content and errors that wait for ``events()``, which are never dropped; beyond it the
            client ends with ``EventsNotRead``.
        event_bytes: what all of these take at most, in bytes; beyond it the same happens.
    """

    sender: SenderSettings = field(default_factory=SenderSettings)
    ready_timeout: float = 30.0
    hello_interval: float = 2.0
    longest_hello_interval: float = 6.0
    shortest_hello_interval: float = 0.25
    page_timeout: float = 4.5
    gap_patience: float = 0.5
    ack_delay: float = 1.0
    busy_pause: float = 1.0
    ping_interval: float = 240.0
    silence_timeout: float = 10.0
    pong_timeout: float = 5.0
    received_timeout: float = 1.5
    connection_lifetime: float = 110 * 60.0
    lifetime_jitter: float = 0.1
    overlap: float = 1.0
    connect_timeout: float = 10.0
    direct_connect_timeout: float = 3.0
    first_backoff: float = 0.25
    longest_backoff: float = 10.0
    give_up_after: float = 300.0
    close_timeout: float = 2.0
    event_capacity: int = 4096
    lasting_capacity: int = 65_536
    event_bytes: int = 64 * 1024 * 1024
