"""Frames of the wire protocol: JSON text messages, told apart by the field `type`. Everything about them, in one place.

Client to server (`segue.wire.client_frames`): `Hello`, `TextInput`, `AudioInput`, `ImageInput`, `OutputAck`, `Ping`,
`Bye`. Server to client (`segue.wire.server_frames`): `Ready`, `InputAck`, `Received`, `AudioOutput`, `Transcript`,
`TextOutput`, `Tool`, `BargeIn`, `Restart`, `Moved`, `Resume`, `Error`, `Pong`.

Fields that a reader does not know are ignored, so that the two ends need not be deployed together. Fields that are
`None` are left out. A frame that breaks a rule raises `FrameError`, whose code and message may be shown to the client.
"""

from segue.wire.client_frames import (
    AudioInput,
    Bye,
    ClientFrame,
    Hello,
    ImageInput,
    InputFrame,
    OutputAck,
    Ping,
    TextInput,
)
from segue.wire.codes import MESSAGES, RETRYABLE_CODES, FrameError
from segue.wire.encoding import (
    decode_client_frame,
    decode_server_frame,
    decode_server_message,
    encode_batch,
    encode_frame,
    fitting,
)
from segue.wire.fields import MAX_FRAME_BYTES, MAX_NUMBER, MediaType, Modality, Role, ToolStatus
from segue.wire.server_frames import (
    AudioFormat,
    AudioFormats,
    AudioOutput,
    BargeIn,
    Error,
    InputAck,
    JournalFrame,
    Moved,
    Pong,
    Ready,
    Received,
    Restart,
    Resume,
    ServerFrame,
    TextOutput,
    Tool,
    Transcript,
    error_frame,
)

__all__ = [
    "MAX_FRAME_BYTES",
    "MAX_NUMBER",
    "MESSAGES",
    "RETRYABLE_CODES",
    "AudioFormat",
    "AudioFormats",
    "AudioInput",
    "AudioOutput",
    "BargeIn",
    "Bye",
    "ClientFrame",
    "Error",
    "FrameError",
    "Hello",
    "ImageInput",
    "InputAck",
    "InputFrame",
    "JournalFrame",
    "MediaType",
    "Modality",
    "Moved",
    "OutputAck",
    "Ping",
    "Pong",
    "Ready",
    "Received",
    "Restart",
    "Resume",
    "Role",
    "ServerFrame",
    "TextInput",
    "TextOutput",
    "Tool",
    "ToolStatus",
    "Transcript",
    "decode_client_frame",
    "decode_server_frame",
    "decode_server_message",
    "encode_batch",
    "encode_frame",
    "error_frame",
    "fitting",
]
