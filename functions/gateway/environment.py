"""What the functions are told through environment variables: read once, at the first invocation."""

from typing import Literal

from msgspec import Struct


class DisconnectEnvironment(Struct, frozen=True):
    """For `disconnect`."""

    connections_table: str


class ConnectEnvironment(Struct, frozen=True):
    """For `connect`.

    Attributes:
        connections_table: name of the connections table.
        auth: where the principal comes from: "iam" (the signer of the request) or "none" (one principal for all).
    """

    connections_table: str
    auth: Literal["iam", "none"]


class MessageEnvironment(Struct, frozen=True):
    """For `message`.

    Attributes:
        connections_table: name of the connections table.
        lock_table: name of the table with the guard items.
        claims_queue_url: where claims go.
        turns_queue_url: where text goes that nobody holds the session of; "": there are no text workers.
    """

    connections_table: str
    lock_table: str
    claims_queue_url: str
    turns_queue_url: str = ""
