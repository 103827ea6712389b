"""Frames of a client. Each may carry ``trace``, a W3C traceparent: the work that it belongs to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Self, TypeAlias

from msgspec import Meta, Struct

from segue.wire.fields import (
    IMAGE_PART_BYTES,
    MAX_APPROVALS,
    MAX_IMAGE_PARTS,
    MAX_RESPONSE_DEPTH,
    Base64,
    ClientId,
    Count,
    MediaType,
    Modality,
    RecordOrNone,
    Seq,
    Trace,
    decoded_bytes,
    from_base64,
    to_base64,
)


class ClientStruct(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """The fields that every client frame may carry.

    Attributes:
        trace: W3C traceparent.
    """

    trace: Trace | None = None


class Hello(ClientStruct, frozen=True, kw_only=True, omit_defaults=True, tag="hello"):
    """Binding of a connection to a session. Repeated until ``Ready`` comes; the first frame of every connection.

    Attributes:
        session: session id, within the caller's own principal.
        client_id: random, lives as long as the page or the ``Client`` object.
        connection: 1 for the client's first connection and one more for each after it.
        last_record: the last record that the client has shown without a gap before it, -1 for none: what it has not
            shown is said again. ``None`` when the client starts now and wants nothing said again.
        modality: what the client will mostly send.
        approvals: whether it can answer an ``Approval``. For a client that cannot, what asks for one is denied.
        history: whether it wants the conversation so far, and lines that other clients type, as ``HistoryOutput``.
        binary: whether it reads audio in binary messages (``segue.wire.binary``).
    """

    session: Annotated[str, Meta(max_length=128)]
    client_id: ClientId
    connection: Seq
    last_record: RecordOrNone | None = None
    modality: Modality = "voice"
    approvals: bool = False
    history: bool = False
    binary: bool = False


class TextInput(ClientStruct, frozen=True, kw_only=True, omit_defaults=True, tag="text"):
    """Something typed. Without ``seq`` it is taken as it comes, with no promise.

    Attributes:
        last_record: as in ``Hello``. A holder of one turn, whose epoch is new to the client, answers with what the
            client has not shown, so that it need not ask.
    """

    text: Annotated[str, Meta(min_length=1)]
    seq: Seq | None = None
    last_record: RecordOrNone | None = None


class AudioInput(ClientStruct, frozen=True, kw_only=True, omit_defaults=True, tag="audio"):
    """A piece of speech: base64 of little-endian PCM16 mono at the rate that ``Ready`` names.

    An empty one has a number and nothing to hear: the client has given the piece up, and what follows must not wait.
    With ``silence`` it is a marker: the microphone is silent from here on, and the holder gives the model silence.

    Attributes:
        audio: the samples.
        seq: as in the other inputs.
        silence: whether it is a marker; said only to holders whose ``Ready`` names the feature ``silence``.
    """

    audio: Base64
    seq: Seq | None = None
    silence: bool = False

    def __post_init__(self) -> None:
        """Reject what is not base64 of whole 16-bit samples, before it can reach a provider."""
        check_samples(from_base64(self.audio, "audio"), self.seq, silence=self.silence)

    @classmethod
    def from_pcm(cls, pcm: bytes, seq: int | None = None) -> Self:
        """Frame for raw samples (PCM16 mono, little-endian)."""
        return cls(audio=to_base64(pcm), seq=seq)

    @property
    def pcm(self) -> bytes:
        """The raw samples, decoded anew each time."""
        return from_base64(self.audio, "audio")

    @property
    def pcm_bytes(self) -> int:
        """Length of ``pcm``, without decoding it."""
        return decoded_bytes(self.audio)


class ImageInput(ClientStruct, frozen=True, kw_only=True, omit_defaults=True, tag="image"):
    """A part of an image: base64 of its bytes. Parts go in order, with numbers of their own; see ``ImageAssembler``.

    Attributes:
        image: this part; each is base64 by itself.
        media_type: the same in all parts.
        part: from 1 to ``parts``.
        parts: how many there are.
        seq: as in the other inputs.
    """

    image: Annotated[Base64, Meta(min_length=4)]
    media_type: MediaType
    part: Annotated[int, Meta(ge=1, le=MAX_IMAGE_PARTS)]
    parts: Annotated[int, Meta(ge=1, le=MAX_IMAGE_PARTS)]
    seq: Seq | None = None

    def __post_init__(self) -> None:
        """Reject what is not base64, and a part past the last."""
        from_base64(self.image, "image")
        if self.part > self.parts:
            raise ValueError("the part's number is greater than the number of parts")

    @classmethod
    def split(cls, image: bytes, media_type: MediaType) -> Sequence[Self]:
        """Frames for an image.

        Raises:
            ValueError: It is empty, or larger than the parts that are allowed.
        """
        pieces = [image[start : start + IMAGE_PART_BYTES] for start in range(0, len(image), IMAGE_PART_BYTES)]
        if not 1 <= len(pieces) <= MAX_IMAGE_PARTS:
            raise ValueError(f"an image has 1 to {MAX_IMAGE_PARTS * IMAGE_PART_BYTES} bytes, this one {len(image)}")
        return [
            cls(image=to_base64(piece), media_type=media_type, part=part, parts=len(pieces))
            for part, piece in enumerate(pieces, start=1)
        ]

    @property
    def raw(self) -> bytes:
        """The bytes of this part."""
        return from_base64(self.image, "image")


class Response(Struct, frozen=True, kw_only=True):
    """The answer to one request of an ``Approval``.

    Attributes:
        id: of the request.
        response: any JSON value but null; what it means is up to who asked. ``True``, "y" and "yes" are Strands' own
            words of consent.
    """

    id: Annotated[str, Meta(min_length=1)]
    response: Annotated[Any, Meta(extra_json_schema={"not": {"type": "null"}})]

    def __post_init__(self) -> None:
        """Refuse null, which to Strands is no answer, and what is nested too deep to be recorded."""
        if self.response is None:
            raise ValueError("a response must not be null")
        level, depth = [self.response], 0
        while level := [one for value in level for one in _within(value)]:
            depth += 1
            if depth > MAX_RESPONSE_DEPTH:
                raise ValueError(f"a response has at most {MAX_RESPONSE_DEPTH} levels")


class AnswerInput(ClientStruct, frozen=True, kw_only=True, omit_defaults=True, tag="answer"):
    """The answer to an ``Approval``: to all its requests together.

    Attributes:
        approval: ``record`` of the ``Approval``.
        responses: one for each of its requests.
        seq: as in the other inputs.
        last_record: as in ``TextInput``.
    """

    approval: Count
    responses: Annotated[tuple[Response, ...], Meta(min_length=1, max_length=MAX_APPROVALS)]
    seq: Seq | None = None
    last_record: RecordOrNone | None = None


class Played(Struct, frozen=True, kw_only=True):
    """The end of what a client has played of one epoch's audio.

    Attributes:
        seq: of the last ``AudioOutput`` of which anything was played, 0 for none.
        ms: milliseconds of that frame that were played.
    """

    seq: Count
    ms: Count


class OutputAck(ClientStruct, frozen=True, kw_only=True, omit_defaults=True, tag="ack"):
    """Acknowledgement of all server frames of ``epoch`` up to ``seq``: they have arrived or been given up.

    Attributes:
        epoch: of the frames.
        seq: of the last of them.
        played: how far the client's player has come; said at once when it has stopped after a ``BargeIn``.
    """

    epoch: Count
    seq: Seq
    played: Played | None = None


class HistoryRequest(ClientStruct, frozen=True, kw_only=True, omit_defaults=True, tag="history"):
    """Request for a page of the conversation so far, a ``HistoryOutput``.

    Attributes:
        before: only lines whose place is before this record; ``None`` for the newest page.
        last_record: as in ``TextInput``.
    """

    before: Count | None = None
    last_record: RecordOrNone | None = None


class Ping(ClientStruct, frozen=True, kw_only=True, omit_defaults=True, tag="ping"):
    """Keep-alive of the connection; the gateway itself answers ``Pong``."""


class Bye(ClientStruct, frozen=True, kw_only=True, omit_defaults=True, tag="bye"):
    """Good-bye: the client leaves on purpose and will not come back with this client id."""


def check_samples(samples: bytes, seq: int | None, *, silence: bool) -> None:
    """Check the samples of an ``AudioInput``.

    Raises:
        ValueError: They are not whole, or none where there must be some, or some where there must be none.
    """
    if len(samples) % 2 or (not samples and seq is None):
        raise ValueError("audio is not whole 16-bit samples")
    if samples and silence:
        raise ValueError("a marker of silence has no audio")


def _within(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


ClientFrame: TypeAlias = (
    Hello | TextInput | AudioInput | ImageInput | AnswerInput | OutputAck | HistoryRequest | Ping | Bye
)
InputFrame: TypeAlias = TextInput | AudioInput | ImageInput | AnswerInput
