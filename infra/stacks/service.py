"""The service stack: everything that can be made again over the same data."""

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct

from infra.config import Config
from infra.constructs.auth import Auth
from infra.constructs.claims import Claims
from infra.constructs.gateway import Gateway, GatewayParts
from infra.constructs.janitor import Janitor, JanitorParts
from infra.constructs.layers import Layers
from infra.constructs.monitoring import Monitoring
from infra.constructs.network import Network
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
        network = Network(self, "Network", config.target)
        claims = Claims(self, "Claims")
        layers = Layers(self, "Layers", config, packages)
        turns = TurnsQueue(self, "TurnsQueue") if layers.turn else None
        gateway_parts = GatewayParts(
            storage=storage,
            auth=auth,
            claims=claims.queue,
            layers=layers,
            network=network,
            turns=turns.queue if turns else None,
        )
        self.gateway = Gateway(self, "Gateway", config, gateway_parts)
        worker_parts = WorkerParts(storage=storage, claims=claims.queue, network=network, stage=self.gateway.stage)
        self.workers = Workers(self, "Workers", config, worker_parts)
        self.turns = None
        if turns:
            parts = TurnParts(storage=storage, layers=layers, stage=self.gateway.stage, queue=turns)
            self.turns = Turns(self, "Turns", config, parts)
        self.janitor = Janitor(self, "Janitor", config, JanitorParts(storage=storage, layers=layers))
        self._watch(config, claims)
        self._outputs(claims)

    def _watch(self, config: Config, claims: Claims) -> None:
        monitoring = Monitoring(self, "Monitoring", config)
        monitoring.watch_gateway(self.gateway.api, self.gateway.functions)
        monitoring.watch_claims(claims)
        monitoring.watch_workers(self.workers.service)
        monitoring.watch_janitor(self.janitor)
        if self.turns:
            monitoring.watch_turns(self.turns)

    def _outputs(self, claims: Claims) -> None:
        outputs = {
            "WebSocketUrl": self.gateway.stage.url,
            "ManagementEndpoint": self.gateway.stage.callback_url,
            "ApiId": self.gateway.api.api_id,
            "StageName": self.gateway.stage.stage_name,
            "ClaimsQueueUrl": claims.queue.queue_url,
            "WorkerServiceName": self.workers.service.service_name,
            "ClusterName": self.workers.cluster.cluster_name,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
