"""Images, put together from their parts in the order of their numbers, after ``Receiver``.

    image 1/3 ─▶ image 2/3 ─▶ (audio, text: not looked at) ─▶ image 3/3 ─▶ Image, with the numbers of all its parts

One image of a client is under way at a time, so memory is bounded by one image a client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from segue.wire.client_frames import ImageInput
from segue.wire.codes import FrameError
from segue.wire.fields import IMAGE_PART_BYTES, MAX_IMAGE_PARTS, MediaType

MAX_IMAGE_BYTES: Final = IMAGE_PART_BYTES * MAX_IMAGE_PARTS
"""Bytes of the largest image, 4.3 MB: all parts that one may have."""


@dataclass(frozen=True, slots=True)
class Image:
    """A whole image.

    Attributes:
        data: its bytes, in the format that ``media_type`` names.
        media_type: "image/png" and so on.
        seqs: the numbers of the frames that it came in: durable together, or not at all.
    """

    data: bytes
    media_type: MediaType
    seqs: tuple[int, ...]


class ImageRefused(FrameError):  # noqa: N818 - reads as what happened
    """``bad_image``: the parts do not make an image.

    Attributes:
        seqs: the numbers of the frames that were dropped. They count as taken: nothing better will come under them.
    """

    def __init__(self, seqs: tuple[int, ...]) -> None:
        super().__init__("bad_image")
        self.seqs = seqs


class ImageAssembler:
    """Assembler of one client's images from their parts."""

    def __init__(self, limit: int = MAX_IMAGE_BYTES) -> None:
        """Begin with nothing under way.

        Args:
            limit: bytes of an image at most.
        """
        self._limit = limit
        self._parts: list[ImageInput] = []
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of the image that is under way."""
        return self._size

    def drop(self) -> tuple[int, ...]:
        """Forget the image that is under way; return the numbers of its parts."""
        return _numbers(self._emptied())

    def take(self, frame: ImageInput) -> Image | None:
        """Take the next part; return the image once it is whole.

        Raises:
            ImageRefused: The part is not the next one, or the image is too large. It is dropped with all before it.
        """
        fits = self._continues(frame)
        self._parts.append(frame)
        self._size += len(frame.raw)
        if not fits or self._size > self._limit:
            raise ImageRefused(_numbers(self._emptied()))
        if frame.part < frame.parts:
            return None
        parts = self._emptied()
        return Image(b"".join(part.raw for part in parts), frame.media_type, _numbers(parts))

    def _continues(self, frame: ImageInput) -> bool:
        first = self._parts[0] if self._parts else frame
        alike = (frame.media_type, frame.parts) == (first.media_type, first.parts)
        return alike and frame.part == len(self._parts) + 1

    def _emptied(self) -> list[ImageInput]:
        parts, self._parts, self._size = self._parts, [], 0
        return parts


def _numbers(parts: list[ImageInput]) -> tuple[int, ...]:
    return tuple(part.seq for part in parts if part.seq is not None)
