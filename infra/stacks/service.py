"""The service stack: everything that can be made again over the same data."""

from typing import cast

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct, IDependable

from infra.config import Config
from infra.constructs.auth import Auth
from infra.constructs.claims import Claims
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
        self._claims = Claims(self, "Claims")
        layers = Layers(self, "Layers", config, packages)
        network = Network(self, "Network", config) if config.voice else None
        turns = TurnsQueue(self, "TurnsQueue") if config.text else None
        gateway_parts = GatewayParts(
            storage=storage,
            auth=auth,
            claims=self._claims.queue,
            layers=layers,
            network=network,
            turns=turns.queue if turns else None,
            page_client_id=web.client_id if web else None,
        )
        self.gateway = Gateway(self, "Gateway", config, gateway_parts)
        for function in self.gateway.with_tables:
            storage.allow_key(function)
        self.workers = self._workers(network, storage) if network else None
        self.stopped = self._stopped(self.workers, storage, layers) if self.workers else None
        self.turns = None
        if turns:
            parts = TurnParts(storage=storage, layers=layers, stage=self.gateway.stage, queue=turns)
            self.turns = Turns(self, "Turns", config, parts)
            storage.allow_key(self.turns.function)
        self._in_order()
        self.janitor = Janitor(self, "Janitor", config, JanitorParts(storage=storage, layers=layers))
        self._watch(storage, web)
        url = self._outputs()
        if web:
            self._tell_the_page(web, url, auth)

    def _workers(self, network: Network, storage: Storage) -> Workers:
        parts = WorkerParts(storage=storage, claims=self._claims.queue, network=network, stage=self.gateway.stage)
        return Workers(self, "Workers", self._config, parts)

    def _in_order(self) -> None:
        """Put what may fail first, then the workers, then what callers reach.

        The message function's newest code and its reservation, and the test of the text function: nothing is called
        there yet. Then the voice workers, which understand what old functions send. Last the functions of the gateway
        and the aliases: if anything before them does not come up, nothing that callers reach has changed.
        """
        early: list[IDependable] = [self.turns.trial] if self.turns and self.turns.trial else []
        if self._config.target.versions:
            # Of the function alone: its alias waits for the workers.
            early.append(cast("IDependable", self.gateway.functions["message"].node.default_child))
        voice = [self.workers.service] if self.workers else []
        text = [self.turns.live] if self.turns else []
        for service in voice:
            service.node.add_dependency(*early)
        for alias in text if early else []:
            alias.node.add_dependency(*voice)
        for entry in self.gateway.entries.values():
            entry.node.add_dependency(*voice, *text)

    def _stopped(self, workers: Workers, storage: Storage, layers: Layers) -> Stopped:
        parts = StoppedParts(storage=storage, layers=layers, claims=self._claims.queue, workers=workers)
        return Stopped(self, "Stopped", self._config, parts)

    def _tell_the_page(self, web: WebStack, url: str, auth: Auth) -> None:
        SettingsFile(
            self,
            "PageSettings",
            self._config,
            bucket=web.files.bucket,
            content={"url": url, "issuer": auth.issuer, "clientId": web.client_id},
            after=[*self.gateway.entries.values(), self.gateway.api, *([self.domain] if self.domain else [])],
        )

    def _watch(self, storage: Storage, web: WebStack | None) -> None:
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
        """Add the outputs; returns the address at which clients connect."""
        outputs = {
            "WebSocketUrl": self.gateway.stage.url,
            "ManagementEndpoint": self.gateway.stage.callback_url,
            "ApiId": self.gateway.api.api_id,
            "StageName": self.gateway.stage.stage_name,
            "ClaimsQueueUrl": self._claims.queue.queue_url,
        }
        if self.workers:
            outputs["WorkerServiceName"] = self.workers.service.service_name
            outputs["ClusterName"] = self.workers.cluster.cluster_name
            outputs["WorkerVersion"] = self.workers.version
            outputs["WorkerParts"] = self.workers.parts
        self.domain = None
        if self._config.domain_name:
            self.domain = Domain(self, "Domain", self._config, self.gateway.api, self.gateway.stage)
            outputs["WebSocketUrl"] = self.domain.url
            outputs["DomainTarget"] = self.domain.target
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
        return outputs["WebSocketUrl"]
