"""Paths and counts of the local stack, decided once by the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LOOPBACK = "127.0.0.1"
REGION = "us-east-1"
ACCOUNT = "000000000000"
STAGE = "local"
KEYS_PATH = "/.well-known/jwks.json"
"""Path at which the supervisor publishes the keys of this machine's issuer of tokens."""

DEFAULT_STOP_TIMEOUT_SECONDS = 120.0
"""The task definition's stop timeout: how long a worker has between SIGTERM and SIGKILL."""


@dataclass(frozen=True)
class Settings:
    """One local stack.

    Attributes:
        home: Folder that everything is written to.
        port: TCP port of the emulator; 0 means the one used last time if it is free, else any free one.
        page_port: TCP port of the page; 0 means the same for it.
        origins: Origins of other web pages that may use the page's address, such as a development server's.
        workers: How many worker processes the service keeps up; 0 for a developer who starts their own.
        stop_timeout: Seconds between SIGTERM and SIGKILL of a worker.
        transport: How clients reach the agent: ``api`` (the emulator's WebSocket API), ``direct`` (the workers' own
            sockets behind a balancer), or ``both``.
        debug: Run workers where ``breakpoint()`` and debugpy work, with leases that wait for a person.
        forked: Fork workers from a process that has imported their libraries, instead of starting each anew.
        verbose: Show what the tools print, not only where they fail.
        python: Interpreter that runs workers and the CDK app.
        root: Root of the checkout.
        worker_environment: Variables that workers get besides the task definition's, such as a model provider's.
    """

    home: Path = ROOT / ".segue"
    port: int = 0
    page_port: int = 0
    origins: tuple[str, ...] = ()
    workers: int = 2
    stop_timeout: float = DEFAULT_STOP_TIMEOUT_SECONDS
    transport: str = "api"
    debug: bool = False
    forked: bool = False
    verbose: bool = False
    python: Path = ROOT / ".venv" / "bin" / "python"
    root: Path = field(default=ROOT)
    worker_environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def make_home(self) -> None:
        """Make the folder for its owner alone: conversations, keys and tokens are in it. One that is there stays."""
        self.home.parent.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(mode=0o700, exist_ok=True)

    @property
    def state(self) -> Path:
        """State that the emulator keeps over a clean stop."""
        return self.home / "state"

    @property
    def logs(self) -> Path:
        """Everything that processes print."""
        return self.home / "logs"

    @property
    def assembly(self) -> Path:
        """The cloud assembly that ``cdk synth`` writes."""
        return self.home / "cdk.out"

    @property
    def outputs(self) -> Path:
        """The stacks' outputs as the CDK writes them."""
        return self.home / "outputs.json"

    @property
    def page_port_file(self) -> Path:
        """File that keeps the page's port: what a browser keeps for the page belongs to its address."""
        return self.state / "page-port"

    @property
    def direct_port_file(self) -> Path:
        """File that keeps the balancer's port."""
        return self.state / "direct-port"

    @property
    def run_file(self) -> Path:
        """File in which a running supervisor says how to reach it."""
        return self.home / "run.json"

    @property
    def lock_file(self) -> Path:
        """Locked by the one supervisor that may run in this home."""
        return self.home / "lock"

    @property
    def temporary(self) -> Path:
        """Temporary files of the emulator and the functions it runs, if there is no faster place."""
        return self.home / "tmp"

    @property
    def unpacked(self) -> Path:
        """Code and layers of functions, which all stacks of the checkout share."""
        return self.root / ".segue" / "unpacked"

    @property
    def emulator_python(self) -> Path:
        """Interpreter of the emulator's own environment."""
        return self.root / ".emulator" / "bin" / "python"

    @property
    def cdk(self) -> Path:
        """The locked CDK command line."""
        return self.root / "node_modules" / ".bin" / "cdk"
