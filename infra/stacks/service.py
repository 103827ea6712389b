"""The service stack: everything that can be made again over the same data.

Clients come by the WebSocket API, by a load balancer to the workers, or by both (the setting ``transport``).
"""

from __future__ import annotations

from typing import cast

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct, IDependable

from infra.config import Config
from infra.constructs.auth import Auth
from infra.constructs.claims import Claims
from infra.constructs.direct.keys import Keys
from infra.constructs.direct.worker_transport import WorkerTransport
from infra.constructs.domain import Domain
from infra.constructs.gateway import Gateway, GatewayParts
from infra.constructs.janitor import Janitor, JanitorParts
from infra.constructs.layers import Layers
from infra.constructs.monitoring import Monitoring
from infra.constructs.monitoring.watched import Watched
from infra.constructs.network import Network
from infra.constructs.stopped import Stopped, StoppedParts
from infra.constructs.storage import Storage
from infra.constructs.turns import TurnParts, Turns, TurnsQueue
from infra.constructs.web.settings_file import SettingsFile
from infra.constructs.workers import WorkerParts, Workers
from infra.dependencies import ThirdParty
from infra.stacks.web import WebStack


class ServiceStack(Stack):
    """Gateway, claims queue, voice and text workers, janitor and what watches them."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: Config,
        *,
        storage: Storage,
        auth: Auth,
        packages: ThirdParty,
        web: WebStack | None,
        env: Environment,
    ) -> None:
        super().__init__(scope, construct_id, env=env, description="Segue: gateway, workers and janitor")
        self._config = config
        self._turns_queue: TurnsQueue | None = None
        self.domain: Domain | None = None
        self._claims = Claims(self, "Claims")
        self._layers = Layers(self, "Layers", config, packages)
        network = Network(self, "Network", config) if config.voice else None
        self.gateway = self._gateway(storage, auth, network, web) if config.api else None
        self.workers = self._workers(network, storage, auth, web) if network else None
        self.stopped = self._stopped_task_function(self.workers, storage) if self.workers else None
        self.turns = self._turns(self.gateway, storage) if self.gateway else None
        self._order_deployment()
        self.janitor = Janitor(self, "Janitor", config, JanitorParts(storage=storage, layers=self._layers))
        self._add_monitoring(storage, web)
        url = self._outputs()
        if web:
            self._write_page_settings(web, url, auth)

    def _gateway(self, storage: Storage, auth: Auth, network: Network | None, web: WebStack | None) -> Gateway:
        if self._config.text:
            self._turns_queue = TurnsQueue(self, "TurnsQueue")
        parts = GatewayParts(
            storage=storage,
            auth=auth,
            claims=self._claims.queue,
            layers=self._layers,
            network=network,
            turns=self._turns_queue.queue if self._turns_queue else None,
            page_client_id=web.client_id if web else None,
        )
        gateway = Gateway(self, "Gateway", self._config, parts)
        for function in gateway.with_tables:
            storage.allow_key(function)
        return gateway

    def _turns(self, gateway: Gateway, storage: Storage) -> Turns | None:
        if self._turns_queue is None:
            return None
        parts = TurnParts(storage=storage, layers=self._layers, stage=gateway.stage, queue=self._turns_queue)
        turns = Turns(self, "Turns", self._config, parts)
        storage.allow_key(turns.function)
        return turns

    def _workers(self, network: Network, storage: Storage, auth: Auth, web: WebStack | None) -> Workers:
        parts = WorkerParts(
            storage=storage,
            claims=self._claims.queue,
            network=network,
            stage=self.gateway.stage if self.gateway else None,
            direct=self._worker_transport(network, auth, web) if self._config.direct else None,
        )
        return Workers(self, "Workers", self._config, parts)

    def _worker_transport(self, network: Network, auth: Auth, web: WebStack | None) -> WorkerTransport:
        keys = None if network.reaches_issuers else Keys(self, "Keys", self._config, auth, self._layers)
        return WorkerTransport(
            self._config,
            auth,
            keys=keys,
            page_url=web.files.url if web else None,
            page_client_id=web.client_id if web else None,
        )

    def _order_deployment(self) -> None:
        """Put what may fail first, then the workers, then what callers reach.

        The message function's newest code and its reservation, and the test of the text function: nothing is called
        there yet. Then the voice workers, which understand what old functions send. Last the functions of the gateway
        and the aliases: if anything before them does not come up, nothing that callers reach has changed.
        """
        first_resources: list[IDependable] = [self.turns.trial] if self.turns and self.turns.trial else []
        if self._config.target.versions and self.gateway:
            # Of the function alone: its alias waits for the workers.
            first_resources.append(cast("IDependable", self.gateway.functions["message"].node.default_child))
        voice = [self.workers.service] if self.workers else []
        text = [self.turns.live] if self.turns else []
        for service in voice:
            service.node.add_dependency(*first_resources)
        for alias in text if first_resources else []:
            alias.node.add_dependency(*voice)
        for entry in self.gateway.entries.values() if self.gateway else []:
            entry.node.add_dependency(*voice, *text)

    def _stopped_task_function(self, workers: Workers, storage: Storage) -> Stopped:
        parts = StoppedParts(storage=storage, layers=self._layers, claims=self._claims.queue, workers=workers)
        return Stopped(self, "Stopped", self._config, parts)

    def _write_page_settings(self, web: WebStack, url: str, auth: Auth) -> None:
        after: list[IDependable] = [self.domain] if self.domain else []
        if self.gateway:
            after = [*self.gateway.entries.values(), self.gateway.api, *after]
        elif self.workers:
            after = [self.workers.service]
        SettingsFile(
            self,
            "PageSettings",
            self._config,
            bucket=web.files.bucket,
            content={"url": url, "issuer": auth.issuer, "clientId": web.client_id},
            after=after,
        )

    def _add_monitoring(self, storage: Storage, web: WebStack | None) -> None:
        watched = Watched(
            gateway=self.gateway,
            storage=storage,
            claims=self._claims,
            janitor=self.janitor,
            workers=self.workers,
            stopped=self.stopped,
            turns=self.turns,
            distribution_id=web.files.distribution.distribution_id if web else None,
        )
        Monitoring(self, "Monitoring", self._config, watched)

    def _outputs(self) -> str:
        """Add the outputs; returns the address at which the page connects: the API's, where there is one."""
        outputs = {"ClaimsQueueUrl": self._claims.queue.queue_url}
        if self.gateway:
            outputs |= self._outputs_of_api(self.gateway)
        if self.workers:
            outputs |= {
                "WorkerServiceName": self.workers.service.service_name,
                "ClusterName": self.workers.cluster.cluster_name,
                "WorkerVersion": self.workers.version,
                "WorkerParts": self.workers.parts,
            }
            if self.workers.balancer:
                outputs |= {
                    "DirectEndpoint": self.workers.balancer.url,
                    "DirectTarget": self.workers.balancer.target,
                }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
        return outputs["WebSocketUrl"] if self.gateway else outputs["DirectEndpoint"]

    def _outputs_of_api(self, gateway: Gateway) -> dict[str, str]:
        outputs = {
            "WebSocketUrl": gateway.stage.url,
            "ManagementEndpoint": gateway.stage.callback_url,
            "ApiId": gateway.api.api_id,
            "StageName": gateway.stage.stage_name,
        }
        if self._config.domain_name:
            self.domain = Domain(self, "Domain", self._config, gateway.api, gateway.stage)
            outputs |= {"WebSocketUrl": self.domain.url, "DomainTarget": self.domain.target}
        return outputs
