"""Frames of the wire protocol: one JSON text message each, told apart by the field `type`.

Client to server: `Hello`, `TextInput`, `AudioInput`, `OutputAck`, `Ping`, `Bye`.
Server to client: `Ready`, `InputAck`, `AudioOutput`, `Transcript`, `TextOutput`, `Tool`, `BargeIn`, `Restart`, `Moved`,
`Resume`, `Error`, `Pong`.

Fields that a reader does not know are ignored, so that the two ends need not be deployed together. Fields that are
`None` are left out. A frame that breaks a rule raises `FrameError`, whose code and message may be shown to the client.
"""

import binascii
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from segue.item import Known

MAX_FRAME_BYTES: Final = 32 * 1024
"""The largest message either way. API Gateway bills and limits in units of 32 KB."""

MAX_NUMBER: Final = 2**53 - 1
"""The largest sequence or record number: the last integer that a JavaScript client can count to."""

type Seq = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
type Count = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
type ClientId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,64}\Z")]
type Modality = Literal["voice", "text"]
type Role = Literal["user", "assistant"]
type ToolStatus = Literal["started", "success", "error"]


class FrameError(ValueError):
    """A frame that breaks the protocol; the connection stays usable.

    Attributes:
        code: one of the codes of `MESSAGES`.
        message: for people, without anything from inside the server.
    """

    def __init__(self, code: str, message: str | None = None) -> None:
        super().__init__(message or MESSAGES[code])
        self.code = code
        self.message = message or MESSAGES[code]


MESSAGES: Final[dict[str, str]] = {
    "oversize": f"a message may have {MAX_FRAME_BYTES} bytes",
    "bad_json": "the message is not JSON text",
    "unknown_type": "no frame has this type",
    "bad_frame": "a field of the frame is missing or wrong",
    "bad_session": "a session id has 1 to 128 of the characters A-Z a-z 0-9 . _ - and is neither . nor ..",
    "hello_first": "say hello before anything else",
    "already_bound": "this connection belongs to another session or client id: open a new one",
    "superseded": "a newer connection of this client has taken over",
    "unknown_connection": "this connection is not known here: open a new one",
    "expired": "the token has ended: open a new connection with a fresh one",
    "too_many_sessions": "too many sessions are open: close one first",
    "too_fast": "too many frames a second: send it again later",
    "beyond_window": "the sequence number is too far ahead: send the missing ones first",
    "busy": "too much at once: send it again later",
    "no_worker": "no worker has taken the session yet: try again",
    "internal": "something went wrong inside: try again",
}
"""Every error code with its standard text."""

RETRYABLE_CODES: Final = frozenset(
    {"unknown_connection", "beyond_window", "busy", "too_fast", "too_many_sessions", "no_worker", "internal"}
)
"""Codes after which the same frame may succeed later."""


class Hello(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="hello"):
    """Binds a connection to a session. Repeated until `Ready` comes; the first frame of every connection.

    Attributes:
        session: session id, within the caller's own principal.
        client_id: random, lives as long as the page or the `Client` object.
        connection: 1 for the client's first connection and one more for each after it.
        last_record: the last record that the client has shown without a gap before it, -1 for none: what it has not
            shown is said again. `None` when the client starts now and wants nothing said again.
        modality: what the client will mostly send.
    """

    session: Annotated[str, Meta(max_length=128)]
    client_id: ClientId
    connection: Seq
    last_record: Annotated[int, Meta(ge=-1, le=MAX_NUMBER)] | None = None
    modality: Modality = "voice"


class TextInput(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="text"):
    """Something typed. Without `seq` it is taken as it comes, with no promise."""

    text: Annotated[str, Meta(min_length=1)]
    seq: Seq | None = None


class AudioInput(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="audio"):
    """A piece of speech: base64 of little-endian PCM16 mono at the rate that `Ready` names."""

    audio: Annotated[str, Meta(min_length=4)]
    seq: Seq | None = None

    def __post_init__(self) -> None:
        """Reject what is not base64 of whole 16-bit samples, before it can reach a provider."""
        try:
            samples = binascii.a2b_base64(self.audio, strict_mode=True)
        except ValueError:
            raise ValueError("audio is not base64") from None
        if not samples or len(samples) % 2:
            raise ValueError("audio is not whole 16-bit samples")

    @classmethod
    def from_pcm(cls, pcm: bytes, seq: int | None = None) -> "AudioInput":
        """Frame for raw samples (PCM16 mono, little-endian)."""
        return cls(audio=binascii.b2a_base64(pcm, newline=False).decode("ascii"), seq=seq)

    @property
    def pcm(self) -> bytes:
        """The raw samples."""
        return binascii.a2b_base64(self.audio)


class OutputAck(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="ack"):
    """All server frames of `epoch` up to `seq` have arrived or been given up."""

    epoch: Count
    seq: Seq


class Ping(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="ping"):
    """Keeps the connection open; the gateway itself answers `Pong`."""


class Bye(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="bye"):
    """The client leaves on purpose and will not come back with this client id."""


class AudioFormat(Struct, frozen=True, kw_only=True):
    """How audio is coded: `rate` in samples a second, `channels`, and `format` ("pcm")."""

    rate: Annotated[int, Meta(gt=0)]
    channels: Annotated[int, Meta(gt=0)]
    format: str


class AudioFormats(Struct, frozen=True, kw_only=True):
    """What the agent hears and what it speaks."""

    input: AudioFormat
    output: AudioFormat


class ServerStruct(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What every server frame carries.

    Attributes:
        epoch: of the holder that said it; `None` if the gateway itself answered.
        seq: from 1, per client id within the epoch.
    """

    epoch: Count | None = None
    seq: Seq | None = None


class Ready(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="ready"):
    """The holder of the session speaks to this client.

    Attributes:
        session: session id.
        known: which of this client's input the committed records contain.
        history: how many messages the agent started with.
        head: how many records are committed.
        since: `last_record` of the `Hello` that this answers: the frames of that record and of all after it follow,
            said again. `None` if that had none, and when the holder speaks unasked (it has just taken the session).
        audio: what the agent hears and speaks; `None` if it does neither.
    """

    session: str
    known: Known
    history: Count
    head: Count
    since: Annotated[int, Meta(ge=-1, le=MAX_NUMBER)] | None = None
    audio: AudioFormats | None = None


class InputAck(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="ack"):
    """These inputs are durable: every seq up to `upto`, and those in `beyond`."""

    upto: Count
    beyond: tuple[Seq, ...] = msgspec.field(default=())


class AudioOutput(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="audio"):
    """A piece of the agent's speech: base64 of PCM16 mono at `rate` samples a second."""

    audio: str
    rate: Annotated[int, Meta(gt=0)]

    @property
    def pcm(self) -> bytes:
        """The raw samples."""
        return binascii.a2b_base64(self.audio)


class Transcript(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="transcript"):
    """What was heard or said, in words. Only a final one is journal content and carries `record`."""

    role: Role
    text: str
    final: bool
    record: Count | None = None


class TextOutput(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="text"):
    """Text of the agent that was never speech."""

    text: str
    record: Count | None = None


class Tool(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="tool"):
    """A tool was started or has ended."""

    name: str
    tool_use_id: str
    status: ToolStatus
    record: Count | None = None


class BargeIn(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="barge_in"):
    """The user spoke over the agent: stop playing and drop what is queued."""


class Restart(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="restart"):
    """The connection to the model was renewed; the conversation goes on."""

    reason: str


class Moved(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="moved"):
    """The holder is handing the session over: hold input back until `Ready`."""


class Resume(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="resume"):
    """Send everything unacknowledged again."""


class Error(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="error"):
    """A frame was refused. `retryable`: the same frame may succeed later."""

    code: str
    message: str
    retryable: bool


class Pong(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="pong"):
    """The answer to `Ping`."""


type ClientFrame = Hello | TextInput | AudioInput | OutputAck | Ping | Bye
type InputFrame = TextInput | AudioInput
type ServerFrame = (
    Ready | InputAck | AudioOutput | Transcript | TextOutput | Tool | BargeIn | Restart | Moved | Resume | Error | Pong
)
type JournalFrame = Transcript | TextOutput | Tool


_CLIENT_TYPES: Final = frozenset({"hello", "text", "audio", "ack", "ping", "bye"})
_client_decoder: Final[msgspec.json.Decoder[ClientFrame]] = msgspec.json.Decoder(ClientFrame)
_server_decoder: Final[msgspec.json.Decoder[ServerFrame]] = msgspec.json.Decoder(ServerFrame)
_encoder = msgspec.json.Encoder()


class _Tagged(Struct):
    type: str


_type_decoder = msgspec.json.Decoder(_Tagged)


def encode_frame(frame: ClientFrame | ServerFrame) -> str:
    """Return the message for a frame.

    Raises:
        FrameError: `oversize`.
    """
    message = _encoder.encode(frame)
    if len(message) > MAX_FRAME_BYTES:
        raise FrameError("oversize")
    return message.decode()


def decode_client_frame(message: bytes | str) -> ClientFrame:
    """Read what a client sent.

    Raises:
        FrameError: `oversize`, `bad_json`, `unknown_type` or `bad_frame`; nothing else, whatever the message.
    """
    raw = _checked(message)
    try:
        return _client_decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _invalid(raw, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FrameError("bad_json") from None


def decode_server_frame(message: bytes | str) -> ServerFrame | None:
    """Read what a server sent; `None` if it is not protocol.

    API Gateway hands its own error messages to the client, and a newer server may say what is not known here yet.
    """
    try:
        return _server_decoder.decode(_checked(message))
    except (FrameError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def error_frame(code: str, message: str | None = None) -> Error:
    """The frame that tells a client of an error.

    Args:
        code: one of the codes of `MESSAGES`.
        message: for people; the code's own text if left out.
    """
    return Error(code=code, message=message or MESSAGES[code], retryable=code in RETRYABLE_CODES)


def _checked(message: bytes | str) -> bytes:
    if len(message) > MAX_FRAME_BYTES:
        raise FrameError("oversize")
    try:
        raw = message.encode() if isinstance(message, str) else message
    except UnicodeEncodeError:
        raise FrameError("bad_json") from None
    if len(raw) > MAX_FRAME_BYTES:
        raise FrameError("oversize")
    return raw


def _invalid(raw: bytes, problem: str) -> FrameError:
    """Tell an unknown type from a wrong field: msgspec reports both alike."""
    try:
        unknown = _type_decoder.decode(raw).type not in _CLIENT_TYPES
    except msgspec.DecodeError:
        unknown = False
    return FrameError("unknown_type") if unknown else FrameError("bad_frame", problem)
