"""The layers of the functions: the library, and third-party code (the authorizer has its own)."""

from __future__ import annotations

from aws_cdk import AssetHashType, IgnoreMode
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.config import Config
from infra.constants import SESSION_LAYER
from infra.dependencies import Dependencies, ThirdParty

RUNTIME = lambda_.Runtime.PYTHON_3_13
SESSION_EXCLUDES = ["/*", "!/python", "/python/*", "!/python/segue", "/python/segue/cli", "__pycache__/"]
"""Files that the library's layer leaves out: all but ``python/segue``, and of that the command line, needing more."""
DEPENDENCIES_EXCLUDES = ["/*", "!/python", "__pycache__/"]


def architecture(config: Config) -> lambda_.Architecture:
    """Architecture of every function and layer."""
    return lambda_.Architecture.ARM_64 if config.architecture == "arm64" else lambda_.Architecture.X86_64


class Layers(Construct):
    """The Lambda layers of the deployment.

    Attributes:
        versions: In the order in which functions take them.
        authorizer: The same for the authorizer, so that no other function unpacks the cryptography.
        turn: The same for the text worker, whose third-party code has Strands; None: there is none.
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config, packages: ThirdParty) -> None:
        super().__init__(scope, construct_id)
        self._architecture = architecture(config)
        session = lambda_.LayerVersion(
            self,
            "Session",
            description="segue, the session library",
            code=lambda_.Code.from_asset(str(SESSION_LAYER), exclude=SESSION_EXCLUDES, ignore_mode=IgnoreMode.GIT),
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[self._architecture],
        )
        self.versions = [session, self._third_party("Dependencies", "functions", packages.functions)]
        self.authorizer = [session, self._third_party("Authorizer", "authorizer", packages.authorizer)]
        self.turn = None
        if packages.turn:
            self.turn = [session, self._third_party("TurnDependencies", "text worker", packages.turn)]

    def _third_party(self, construct_id: str, owner: str, dependencies: Dependencies) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self,
            construct_id,
            description=f"third-party packages of the {owner}",
            code=lambda_.Code.from_asset(
                str(dependencies.folder),
                exclude=DEPENDENCIES_EXCLUDES,
                ignore_mode=IgnoreMode.GIT,
                # The lock decides what is in it, so thousands of files need no fingerprint.
                asset_hash=dependencies.digest,
                asset_hash_type=AssetHashType.CUSTOM,
            ),
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[self._architecture],
        )
