"""Environment variables of the functions, read once at the first invocation."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.ingress.default_limits import FRAME_BURST, FRAMES_PER_SECOND, SESSIONS_PER_PRINCIPAL, of_principal


class DisconnectEnvironment(Struct, frozen=True):
    """Variables of ``disconnect``."""

    connections_table: str


class AuthorizerEnvironment(Struct, frozen=True):
    """Variables of ``authorizer``.

    Attributes:
        token_issuer: whose tokens are good.
        token_audience: for whom a token must be; several with commas between them.
        token_keys_url: where the issuer publishes its keys.
    """

    token_issuer: str
    token_audience: str
    token_keys_url: str


class ConnectEnvironment(Struct, frozen=True):
    """Variables of ``connect``."""

    connections_table: str


class MessageEnvironment(Struct, frozen=True):
    """Variables of ``message``.

    Attributes:
        connections_table: name of the connections table.
        lock_table: name of the table with the guard items.
        claims_queue_url: where claims go that no worker takes directly.
        management_endpoint: where API Gateway takes messages to clients, without ``/@connections``; a path only is one
            on AWS_ENDPOINT_URL.
        sessions_per_principal: sessions that one principal may have open at a time.
        frames_per_second: frames that one connection may send.
        frame_burst: frames that one connection may send at once after a pause.
        turns_queue_url: where the text of sessions without a holder goes; "": there is no text function.
    """

    connections_table: str
    lock_table: str
    claims_queue_url: str
    management_endpoint: str
    sessions_per_principal: Annotated[int, Meta(ge=1, le=100)] = SESSIONS_PER_PRINCIPAL
    frames_per_second: Annotated[int, Meta(ge=1)] = FRAMES_PER_SECOND
    frame_burst: Annotated[int, Meta(ge=1)] = FRAME_BURST
    turns_queue_url: str = ""

    @property
    def principal_frames_per_second(self) -> int:
        """Frames that all connections of one principal may send together: one catches up, in the others one speaks."""
        return of_principal(self.frames_per_second, self.sessions_per_principal)

    @property
    def principal_frame_burst(self) -> int:
        """Frames that one principal's connections may send at once: one's burst, and a second of the others."""
        return of_principal(self.frame_burst, self.sessions_per_principal)
