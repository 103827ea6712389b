"""Help for tests of agents: models without an account, sessions in memory, restarts, time that is moved by hand.

    clock        ``ManualClock``: time that stands still
    provision    ``provision``: a bucket and a lock table on any endpoint
    offline/     ``OfflineTextModel``, ``OfflineVoiceModel``: models that answer from the history they are given
    memory       ``MemorySessionManager``, ``MemoryStorage``
    scripted     ``ScriptedTextModel``, ``ScriptedVoiceModel``, ``ScriptedCall``: models that do what a test says
    restarting   ``restart``: close, restore and compare

``docs/testing.md`` is the guide. What needs Strands is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segue.lazy import lazily
from segue.testing.clock import ManualClock
from segue.testing.provision import provision

if TYPE_CHECKING:
    from segue.testing.memory import MemorySessionManager, MemoryStorage
    from segue.testing.offline import OfflineTextModel, OfflineVoiceModel
    from segue.testing.restarting import restart
    from segue.testing.scripted import ScriptedCall, ScriptedTextModel, ScriptedVoiceModel

__all__ = [
    "ManualClock",
    "MemorySessionManager",
    "MemoryStorage",
    "OfflineTextModel",
    "OfflineVoiceModel",
    "ScriptedCall",
    "ScriptedTextModel",
    "ScriptedVoiceModel",
    "provision",
    "restart",
]

__getattr__ = lazily(
    __name__,
    {
        "MemorySessionManager": "segue.testing.memory",
        "MemoryStorage": "segue.testing.memory",
        "OfflineTextModel": "segue.testing.offline",
        "OfflineVoiceModel": "segue.testing.offline",
        "ScriptedCall": "segue.testing.scripted",
        "ScriptedTextModel": "segue.testing.scripted",
        "ScriptedVoiceModel": "segue.testing.scripted",
        "restart": "segue.testing.restarting",
    },
)
"""Import the rest when it is first asked for."""
