"""A host and everything that its sessions touch, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from strands.bidi import BidiAgent

from segue.wire.claims import Claim
from tests.support.memory_manager import MemorySessionManager, MemoryStorage
from tests.support.provider_calls import LEASE, weather
from tests.unit.worker.stand_ins import FakeConnections, HandledModel
from worker.hosting.host import Host


@dataclass
class World:
    """A host and everything that its sessions touch.

    Attributes:
        host: Under test.
        storage: Shared by all session managers.
        clients: What posts.
        models: Every model that was built, in order.
        happened: What tests want in order: filled by hooks that they install.
        fail_start: Raised by the models that are built from now on.
    """

    storage: MemoryStorage
    clients: FakeConnections
    models: list[HandledModel] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    fail_start: Exception | None = None
    probe: Any = None
    host: Host = field(init=False)

    def begin(
        self, *, capacity: int = 10, linger_seconds: float = 30.0, acquire_timeout: float = 0.0, **options: Any
    ) -> Host:
        def new_manager(claim: Claim) -> MemorySessionManager:
            return MemorySessionManager(
                claim.session_id,
                principal=claim.principal,
                storage=self.storage,
                durability="gate",
                lease=LEASE,
                acquire_timeout=acquire_timeout,
                holder="w1",
                endpoint="http://w1",
                probe=self.probe,
            )

        def new_agent(manager: Any) -> BidiAgent:
            return self.build_agent(manager)

        self.host = Host(
            new_manager, new_agent, self.clients, capacity=capacity, linger_seconds=linger_seconds, **options
        )
        return self.host

    def build_agent(self, manager: Any) -> BidiAgent:
        """The user's function; tests put their own in its place."""
        model = HandledModel()
        model.start_failure = self.fail_start
        self.models.append(model)
        return BidiAgent(model=model, tools=[weather], session_manager=manager)
