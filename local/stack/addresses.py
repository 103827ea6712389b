"""Addresses at which clients reach the stack: the API of the emulator, and a balancer before the workers' own sockets.

transport   API    balancer   the address that ``chat``, ``demo``, the page and ``status`` use
api         yes    no         the API's
direct      yes    yes        the balancer's; the API is deployed all the same, and unused
both        yes    yes        the API's; ``direct_url`` is the balancer's
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from local.deployment.issuer import AUDIENCE, ISSUER
from local.deployment.outputs import Deployment
from local.errors import LocalError
from local.processes.ports import kept_port
from local.settings import Settings
from local.workers.balancer import Balancer, Target
from local.workers.worker_process import Worker


def targets_of(workers: Iterable[Worker]) -> list[Target]:
    """Return the workers that take connections, for a balancer."""
    return [
        Target(worker.id, worker.sockets_port, leaving=worker.state == "draining")
        for worker in workers
        if worker.sockets_port is not None
    ]


class ClientAddresses:
    """The ways in of one stack."""

    def __init__(self, settings: Settings, workers: Callable[[], Iterable[Worker]]) -> None:
        """Get ready.

        Args:
            settings: Which ways there are.
            workers: Returns the workers there are now.
        """
        self._settings = settings
        self._balancer = Balancer(lambda: targets_of(workers())) if settings.transport != "api" else None

    @property
    def direct_url(self) -> str | None:
        """Address of the balancer; None if there is none."""
        return None if self._balancer is None else self._balancer.url

    async def open(self) -> None:
        """Take connections, if there is a balancer; call it when workers are ready.

        Raises:
            LocalError: The port is taken.
        """
        if self._balancer is None:
            return
        file = self._settings.direct_port_file
        try:
            await self._balancer.start(kept_port(file))
        except OSError as error:
            msg = f"the balancer cannot listen ({error.strerror}); try again."
            raise LocalError(msg) from error
        file.write_text(f"{self._balancer.port}\n", encoding="utf-8")

    async def close(self) -> None:
        """Take nothing more, and break what is open."""
        if self._balancer is not None:
            await self._balancer.stop()

    def url(self, deployment: Deployment) -> str:
        """Return the address that clients use."""
        if self._balancer is not None and self._settings.transport == "direct":
            return self._balancer.url
        return deployment.websocket_url

    def equip(self, deployment: Deployment, keys_url: str) -> Deployment:
        """Give a deployment's workers what they need to take connections.

        Args:
            deployment: As it was read.
            keys_url: Where this machine's issuer publishes its keys.
        """
        if self._balancer is None:
            return deployment
        variables = {
            "SEGUE_TRANSPORT": self._settings.transport,
            "SEGUE_DIRECT_PORT": "0",
            "SEGUE_TOKEN_ISSUER": ISSUER,
            "SEGUE_TOKEN_AUDIENCE": AUDIENCE,
            "SEGUE_TOKEN_KEYS_URL": keys_url,
        }
        return replace(deployment, worker_environment={**deployment.worker_environment, **variables})

    def facts(self, deployment: Deployment) -> dict[str, str]:
        """Return what a person or a script wants to know."""
        direct = {} if self.direct_url is None else {"direct_url": self.direct_url}
        return {"websocket_url": self.url(deployment), **direct, "transport": self._settings.transport}
