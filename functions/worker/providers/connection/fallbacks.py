"""Offers by which a provider may go on, best first: a refused offer leads to the next best, not to a dead call.

handle ─▶ history and tools ─▶ half the history ─▶ no tools ─▶ no history ─▶ neither

A connection that was opened in advance, and was given by additions what has been said since, comes before all of these.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer: the state that one attempt to connect carries.

    Attributes:
        handle: The provider's own resumption handle; then nothing else is needed of the history.
        share: How much of the history that fits is replayed, 0 to 1.
        tools: Whether the tools are named.
        history: Whether there was one to replay when it was made.
        added: Whether the end of the history came as additions to a connection that was opened in advance.
    """

    handle: str | None = None
    share: float = 1.0
    tools: bool = True
    history: bool = True
    added: bool = False

    @property
    def how(self) -> str:
        """The means by which the conversation continues, for log lines and metrics."""
        if self.added:
            return "additions"
        return "handle" if self.handle is not None else "history" if self.share and self.history else "nothing"


FULL = Offer()
_REPLAYS = (FULL, Offer(share=0.5), Offer(tools=False), Offer(share=0.0), Offer(share=0.0, tools=False))
_WITHOUT_HISTORY = (Offer(history=False), Offer(history=False, tools=False))


def offers(*, handle: str | None, history: bool, tools: bool) -> list[Offer]:
    """List what to try, leaving out what would be the same again.

    Args:
        handle: A handle that may be used.
        history: Whether there is a history.
        tools: Whether there are tools.
    """
    replays = [offer for offer in (_REPLAYS if history else _WITHOUT_HISTORY) if tools or offer.tools]
    return replays if handle is None else [Offer(handle=handle), *replays]


def after(refused: Offer, rest: list[Offer], *, about_tools: bool) -> list[Offer]:
    """Return the offers that are left after a refusal.

    Args:
        refused: What was refused.
        rest: What comes after it.
        about_tools: Whether the provider named the tools as the reason.
    """
    if about_tools and refused.tools and refused.handle is None:
        return [offer for offer in rest if not offer.tools] or rest
    return rest
