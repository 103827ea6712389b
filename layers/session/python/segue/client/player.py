"""The end of what a client's player has played, as it is told after a ``BargeIn``."""

from __future__ import annotations

from segue.wire.frames import AudioOutput, Played


class Player:
    """Progress of one player."""

    def __init__(self) -> None:
        """Begin with nothing played."""
        self._played: tuple[int, Played] | None = None
        self._interrupted_in: int | None = None

    def barge_in(self, epoch: int | None) -> None:
        """Note a ``BargeIn``: the next account is the end of what was played."""
        self._interrupted_in = epoch

    def came(self, frame: AudioOutput | None, ms: float, epoch: int) -> bool:
        """Note how far it has come; return whether that is to be told at once.

        Args:
            frame: the last one of which anything was played, ``None`` if there is none.
            ms: milliseconds of it that were played.
            epoch: the present one.
        """
        if frame is None or frame.epoch != epoch:
            frame, ms = None, 0.0  # of this epoch nothing was played
        self._played = epoch, Played(seq=0 if frame is None else frame.seq or 0, ms=max(0, round(ms)))
        interrupted, self._interrupted_in = self._interrupted_in == epoch, None
        return interrupted

    def report(self, epoch: int) -> Played | None:
        """The account of an epoch; ``None`` if there is none."""
        return self._played[1] if self._played is not None and self._played[0] == epoch else None
