"""Things that this machine builds: the worker's image (or the one that is named), and the page."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from infra.config import Config
from infra.constants import ECR_IMAGE
from infra.constructs.web.built import PageMissingError, built_page
from infra.preflight.account import Account, RefusedError
from infra.preflight.findings import Finding, State, judged

COMMAND_SECONDS: Final = 8.0
MACHINES: Final = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64", "amd64": "x86_64"}
EMULATORS: Final = Path("/proc/sys/fs/binfmt_misc")
"""On Linux, programs of other machines run by what is registered here; elsewhere the builder's own machine has it."""
REGISTERED: Final = {"arm64": "qemu-aarch64", "x86_64": "qemu-x86_64"}


def builder(account: Account, config: Config) -> Iterator[Finding]:
    """docker, or what CDK_DOCKER names, answers, and can build for the architecture."""
    del account
    if not config.voice or config.worker_image is not None:
        return
    program = os.environ.get("CDK_DOCKER", "docker")
    server = _server(program)
    needed = f"{program} answers, and builds for {config.architecture}"
    if server is None:
        mend = (
            "start docker; or export CDK_DOCKER=finch (or podman); or build elsewhere (docs/pipeline.md) and deploy "
            "with -c worker_image=…"
        )
        found = f"{program} does not answer" if shutil.which(program) else f"no {program} on this machine"
        yield judged("image", "builder", holds=False, needed=needed, found=found, mend=mend)
        return
    is_native = MACHINES.get(platform.machine().lower()) == config.architecture
    emulated = platform.system() != "Linux" or (EMULATORS / REGISTERED[config.architecture]).exists()
    other = "arm64" if config.architecture == "x86_64" else "x86_64"
    yield judged(
        "image",
        "builder",
        holds=is_native or emulated,
        needed=needed,
        found=f"{program} {server} on {platform.machine()}"
        + ("" if is_native else ", by emulation" if emulated else ", without emulation"),
        mend=f"{program} run --privileged --rm tonistiigi/binfmt --install "
        f"{'arm64' if config.architecture == 'arm64' else 'amd64'} (or deploy with -c architecture={other})",
    )


def page(account: Account, config: Config) -> Iterator[Finding]:
    """The page's files, which the CDK uploads as they are."""
    del account
    if not config.page:
        return
    try:
        built_page(config)
        found = "built"
    except PageMissingError:
        found = "not built"
    yield judged(
        "image",
        "page",
        holds=found == "built",
        needed="built before the synthesis",
        found=found,
        mend="make web (or leave it out with -c web=false)",
    )


def worker_image(account: Account, config: Config) -> Iterator[Finding]:
    """The image that ``worker_image`` names, if it is in a private registry of AWS."""
    address = ECR_IMAGE.fullmatch(config.worker_image or "")
    if address is None or not config.voice:
        return
    version = address["version"] or "latest"
    identifier = {"imageDigest": version} if version.startswith("sha256:") else {"imageTag": version}
    registry = f"{address['account']} in {address['region']}"
    if (address["account"], address["region"]) != (account.id, account.region):
        found = f"in {registry}"
    else:
        try:
            account.ask(
                "ecr",
                "DescribeImages",
                repositoryName=address["name"],
                registryId=address["account"],
                imageIds=[identifier],
            )
            found = "is there"
        except RefusedError as error:
            if error.code not in {"ImageNotFoundException", "RepositoryNotFoundException"}:
                raise
            found = "is not there" if error.code == "ImageNotFoundException" else "its repository is not there"
    yield judged(
        "image",
        "worker_image",
        holds=found == "is there",
        needed=f"{config.worker_image}, of this account and region",
        found=found,
        mend=f"docker push {config.worker_image}",
        otherwise=State.FAILS if found != f"in {registry}" else State.UNKNOWN,
    )


def _server(program: str) -> str | None:
    """The version of the builder's server; None if it does not answer."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - the program that the CDK would run
            [path, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if answer.returncode:  # finch and podman know no servers
            answer = subprocess.run(  # noqa: S603 - likewise
                [path, "info"], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
            )
            return "(info answers)" if answer.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip()
