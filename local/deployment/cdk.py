"""``cdk synth`` and ``cdk deploy``, the real ones, against the emulator."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.deployment.assemblies import Assemblies
from local.deployment.bootstrap import bootstrap
from local.deployment.issuer import AUDIENCE, ISSUER
from local.errors import LocalError
from local.processes.children import AWS_ENVIRONMENT, LAYER_TOOL, Child, Guard, base_environment, tail
from local.progress import Progress
from local.settings import ACCOUNT, REGION, STAGE, Settings

TOOL_GRACE_SECONDS = 5.0
FOLLOW_SECONDS = 0.2
VERSION_PLACE = "VERSION-OF-THE-DEPLOYMENT"
KEYS_PLACE = "http://127.0.0.1:0/ADDRESS-OF-THE-KEYS"
"""Values of the settings that each deployment has its own of, in an assembly that deployments share."""


def environment(settings: Settings, endpoint: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a cdk command.

    Args:
        settings: Where things are.
        endpoint: URL of the emulator; every AWS call goes there.
        inherited: The part of the caller's environment that children get.
    """
    binaries = settings.python.parent
    return {
        **inherited,
        **AWS_ENVIRONMENT,
        "PATH": f"{binaries}{os.pathsep}{inherited.get('PATH', os.defpath)}",
        "PYTHONPATH": str(settings.root),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "CDK_DEFAULT_ACCOUNT": ACCOUNT,
        "CDK_DEFAULT_REGION": REGION,
        "CDK_HOME": str(settings.home / "cdk"),  # otherwise it writes into the home folder
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        # Ten seconds of processor time in which the CDK compiles its rules. A deployment to AWS is validated, and
        # tests/infra validates this stage.
        "CDK_VALIDATION": "false",
        "CI": "true",
        "NO_COLOR": "1",
    }


class Toolkit:
    """The CDK's command line; its output goes to ``logs/cdk-<action>.log``, and to a listener if one is given."""

    def __init__(self, settings: Settings, guard: Guard, progress: Progress) -> None:
        self._settings = settings
        self._guard = guard
        self._progress = progress
        self._assemblies = Assemblies(settings.root)
        self._bootstrapped: set[str] = set()

    def check(self) -> None:
        """Say early what is missing.

        Raises:
            LocalError: Node or the CDK is not there.
        """
        if shutil.which("node") is None:
            msg = "Node.js is needed (for the CDK) and there is no `node` on the PATH: install Node.js 20 or newer."
            raise LocalError(msg)
        if not self._settings.cdk.exists():
            msg = "the CDK command line is not installed: run `make setup`."
            raise LocalError(msg)

    async def synthesize(self, endpoint: str, version: str, keys_url: str) -> None:
        """Write the templates and assets of all stacks; synthesize them, if a source has changed.

        Args:
            endpoint: URL of the emulator.
            version: Of this deployment.
            keys_url: Where the issuer of tokens publishes its keys.

        Raises:
            LocalError: It failed; the message ends with the end of its output.
        """
        with self._progress.step("synthesizing the stacks"):
            await self._write_assembly(endpoint, {VERSION_PLACE: version, KEYS_PLACE: keys_url})

    async def deploy(self, endpoint: str) -> dict[str, str]:
        """Deploy all stacks as they were synthesized; bootstrap an emulator once.

        Args:
            endpoint: URL of the emulator.

        Returns:
            The outputs of all stacks, by output name.

        Raises:
            LocalError: A cdk command failed; the message ends with the end of its output.
        """
        assembly = self._settings.assembly
        if endpoint not in self._bootstrapped:
            with self._progress.step("bootstrapping the local account"):
                await asyncio.to_thread(bootstrap, endpoint, self._settings.root)
            self._bootstrapped.add(endpoint)
        with self._progress.step("deploying the stacks"):
            target = ["--app", str(assembly), "--all", "--outputs-file", str(self._settings.outputs)]
            await self._cdk("deploy", [*target, "--require-approval", "never"], endpoint)
        return read_outputs(self._settings.outputs)

    async def _write_assembly(self, endpoint: str, values: Mapping[str, str]) -> None:
        context = [
            f"stage={STAGE}",
            f"version={VERSION_PLACE}",
            # Nothing here reads it: the supervisor starts as many as were asked for, and all stacks share an assembly.
            f"worker_count={Settings.workers}",
            f"auth_issuer={ISSUER}",
            f"auth_audience={AUDIENCE}",
            f"auth_jwks_url={KEYS_PLACE}",
            # The emulator waits 50 ms after each invocation for a line of log, and goes on when it has one.
            "log_level=DEBUG",
        ]
        options = ["--quiet", *(part for value in context for part in ("--context", value))]

        async def synthesize(folder: Path) -> None:
            await self._cdk("synth", [*options, "--output", str(folder)], endpoint)

        variables = environment(self._settings, endpoint, base_environment())
        await self._assemblies.write(self._settings.assembly, options, variables, values, synthesize)

    async def _cdk(self, action: str, options: Sequence[str], endpoint: str) -> None:
        log = self._settings.logs / f"cdk-{action}.log"
        log.unlink(missing_ok=True)
        child: Child = await self._guard.spawn(
            f"cdk {action}",
            [self._settings.cdk, action, *options, "--no-version-reporting", "--no-notices"],
            environment=environment(self._settings, endpoint, base_environment()),
            log=log,
            layer=LAYER_TOOL,
            grace=TOOL_GRACE_SECONDS,
        )
        try:
            if self._settings.verbose:
                await self._follow(child)
            code = await child.wait()
        finally:
            child.kill()
        if code != 0:
            msg = f"cdk {action} failed (exit code {code}); all of its output: {log}\n{tail(log)}"
            raise LocalError(msg)

    async def _follow(self, child: Child) -> None:
        with child.log.open(encoding="utf-8", errors="replace") as output:
            while True:
                running = child.exit_code is None
                for line in output:
                    self._progress.note(line.rstrip())
                if not running:
                    return
                await asyncio.sleep(FOLLOW_SECONDS)


def read_outputs(path: Path) -> dict[str, str]:
    """Read a CDK outputs file: the outputs of all stacks in one mapping.

    Raises:
        LocalError: There is no such file, it is no JSON, or two stacks name an output alike.
    """
    try:
        stacks: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"the stacks' outputs cannot be read from {path} ({error}): deploy again."
        raise LocalError(msg) from error
    outputs: dict[str, str] = {}
    for stack, values in stacks.items():
        for name, value in values.items():
            if outputs.setdefault(name, value) != value:
                msg = f"output {name} of {stack} is also an output of another stack, with another value."
                raise LocalError(msg)
    return outputs
