"""The service stack: everything that can be made again over the same data."""

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct

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
from infra.constructs.workers import WorkerParts, Workers
from infra.dependencies import ThirdParty


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
        self._workers_before_the_gateway()
        self.janitor = Janitor(self, "Janitor", config, JanitorParts(storage=storage, layers=layers))
        self._watch(storage)
        self._outputs()

    def _workers(self, network: Network, storage: Storage) -> Workers:
        parts = WorkerParts(storage=storage, claims=self._claims.queue, network=network, stage=self.gateway.stage)
        return Workers(self, "Workers", self._config, parts)

    def _workers_before_the_gateway(self) -> None:
        """Of voice and of text: new workers understand what old functions send.

        And if they do not come up, the deployment ends before a function of the gateway has changed.
        """
        voice = [self.workers.service] if self.workers else []
        text = [self.turns.function] if self.turns else []
        for function in self.gateway.functions.values():
            function.node.add_dependency(*voice, *text)

    def _stopped(self, workers: Workers, storage: Storage, layers: Layers) -> Stopped:
        parts = StoppedParts(storage=storage, layers=layers, claims=self._claims.queue, workers=workers)
        return Stopped(self, "Stopped", self._config, parts)

    def _watch(self, storage: Storage) -> None:
        watched = Watched(
            gateway=self.gateway,
            storage=storage,
            claims=self._claims,
            janitor=self.janitor,
            workers=self.workers,
            stopped=self.stopped,
            turns=self.turns,
        )
        Monitoring(self, "Monitoring", self._config, watched)

    def _outputs(self) -> None:
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
        if self._config.domain_name:
            domain = Domain(self, "Domain", self._config, self.gateway.api, self.gateway.stage)
            outputs["WebSocketUrl"] = domain.url
            outputs["DomainTarget"] = domain.target
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
