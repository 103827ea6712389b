"""The images of a session that are still under way, bounded for the session and not only for each client."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from segue.wire.frames import ImageInput
from segue.wire.images import MAX_IMAGE_BYTES, Image, ImageAssembler, ImageRefused
from worker.conversation.input.intake import CLIENTS

MOST_BYTES: Final = 4 * MAX_IMAGE_BYTES
"""Bytes of all unfinished images of a session: 17 MB; beyond them the least recently continued is dropped. A process
holds many sessions, and a client that begins an image may never end it."""


class UnfinishedImages:
    """One image a client, for as many clients as an intake knows."""

    def __init__(self, most_bytes: int = MOST_BYTES, clients: int = CLIENTS) -> None:
        """Begin with none.

        Args:
            most_bytes: Of all images together.
            clients: Whose images are kept.
        """
        self._most_bytes = most_bytes
        self._clients = clients
        self._assemblers: OrderedDict[str, ImageAssembler] = OrderedDict()

    def add_part(self, client_id: str, frame: ImageInput) -> Image | None:
        """Take a client's next part; return the image once it is whole.

        Raises:
            ImageRefused: The part is not the next one, or the image is too large. It is dropped with all before it.
        """
        assembler = self._assemblers.pop(client_id, None) or ImageAssembler()
        image = assembler.take(frame)
        if image is None:
            self._assemblers[client_id] = assembler
        return image

    def crowded_out(self) -> list[tuple[str, ImageRefused]]:
        """Drop what is too much, the images that were continued least recently; returns whose they were."""
        dropped: list[tuple[str, ImageRefused]] = []
        while len(self._assemblers) > self._clients or self._bytes > self._most_bytes:
            client_id, assembler = self._assemblers.popitem(last=False)
            dropped.append((client_id, ImageRefused(assembler.drop())))
        return dropped

    def drop_client(self, client_id: str) -> tuple[int, ...]:
        """Drop the image of a client that has left; returns the numbers of its parts."""
        assembler = self._assemblers.pop(client_id, None)
        return () if assembler is None else assembler.drop()

    @property
    def _bytes(self) -> int:
        return sum(assembler.size for assembler in self._assemblers.values())
