"""Texts of the length that people and voice models speak in, the same in every run.

A user says 8 to 35 words, an assistant 30 to 100. As JSON, with its tracking id, a message is about 275 bytes.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from typing import Any

_COMMON = """
the a to of and in is it you that for on with as at this have from or one had by but not what all were we when your
can said there use an each which she do how their if will up other about out many then them these so some her would
make like him into time has look two more write go see number no way could people my than first water been call who
oil its now find long down day did get come made may part over new sound take only little work know place year live me
back give most very after thing our just name good sentence man think say great where help through much before line
right too mean old any same tell boy follow came want show also around form three small set put end does another well
large must big even such because turn here why ask went men read need land different home us move try kind hand
picture again change off play spell air away animal house point page letter mother answer found study still learn
should America world high every near add food between own below country
"""
_WORDS = _COMMON.split()
_WEIGHTS = [1 / (rank + 3) for rank in range(len(_WORDS))]
"""Common words are common in speech, too."""

_USER_WORDS = (8, 35)
_ASSISTANT_WORDS = (30, 100)


def texts(seed: str) -> Iterator[tuple[str, str]]:
    """Yield role and text, user and assistant in turn, without end."""
    source = random.Random(seed)
    while True:
        yield "user", _sentence(source, *_USER_WORDS)
        yield "assistant", _sentence(source, *_ASSISTANT_WORDS)


def messages(count: int, seed: str = "history") -> list[Any]:
    """Return the first messages of a conversation, as Strands keeps them."""
    source = random.Random(f"{seed} ids")
    return [
        {
            "role": role,
            "content": [{"text": text}],
            "tracking_id": str(uuid.UUID(int=source.getrandbits(128), version=4)),
        }
        for _, (role, text) in zip(range(count), texts(seed), strict=False)
    ]


def own_size(message: Any) -> int:
    """Return the size of a message's JSON in bytes, written as short as JSON allows."""
    return len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())


def _sentence(source: random.Random, least: int, most: int) -> str:
    words = source.choices(_WORDS, _WEIGHTS, k=source.randint(least, most))
    return f"{' '.join(words).capitalize()}."
