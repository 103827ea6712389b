from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.constants import ROOT, WORKER_DOCKERFILE

DOCKERFILE = (ROOT / WORKER_DOCKERFILE).read_text(encoding="utf-8")


def test_the_build_sees_what_the_image_needs_and_nothing_else(image_context):
    seen = {str(each.relative_to(image_context)) for each in image_context.rglob("*") if each.is_file()}

    allowed = ("functions/shared/", "functions/worker/", "layers/session/python/segue/", "requirements/worker.txt")
    assert not [name for name in seen if not name.startswith(allowed)]
    assert not [name for name in seen if "__pycache__" in name or name.endswith(".pyc")]
    assert {"functions/worker/__main__.py", "functions/worker/agent.py", "requirements/worker.txt"} <= seen
    assert "layers/session/python/segue/__init__.py" in seen


def test_every_copied_path_is_in_the_build_context(image_context):
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)

    assert copied == ["requirements/worker.txt", "layers/session/python/segue", "functions/shared", "functions/worker"]
    for path in copied:
        assert (image_context / path).exists()


def test_packages_are_installed_from_the_lock_only():
    (install,) = re.findall(r"^RUN .*pip .*install.*$", DOCKERFILE, re.MULTILINE)

    assert "--require-hashes" in install
    assert "--only-binary :all:" in install


def test_the_image_runs_as_an_unprivileged_user_and_is_told_to_stop_by_sigterm():
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)

    assert users == ["10001"]
    assert re.findall(r"^STOPSIGNAL (\S+)$", DOCKERFILE, re.MULTILINE) == ["SIGTERM"]
    # The exec form: a shell in between would keep the signal to itself.
    assert re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE) == ['["python", "-m", "worker"]']
    assert "HEALTHCHECK" not in DOCKERFILE


def test_the_base_can_be_pinned_by_digest():
    assert re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE) == ["python:3.13-slim"]
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${PYTHON_IMAGE}"}


def test_the_worker_imports_the_library_from_where_the_image_puts_it(bare, image_context, tmp_path):
    """Only what needs no third-party package: the rest is in the image's own environment."""
    app = tmp_path / "app"
    app.mkdir()
    for name in ("functions/worker", "layers/session/python/segue"):
        (app / name.rpartition("/")[2]).symlink_to(image_context / name)

    found = bare("import importlib.util as u; print(u.find_spec('worker').origin, u.find_spec('segue').origin)", app)

    assert found.split() == [str(app / "worker" / "__init__.py"), str(app / "segue" / "__init__.py")]


# The steps of the Dockerfile, one after the other, in a folder that stands for the image's root.


class Image:
    """The Dockerfile's result, as far as it is built without docker: ``/opt``, ``/app`` and ``/tmp`` below a folder."""

    def __init__(self, root: Path, context: Path) -> None:
        self.root, self._context = root, context
        self.environment = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        # How this machine reaches the package index.
        network = ("HOME", "PIP_", "UV_", "SSL_", "HTTPS_PROXY", "NO_PROXY")
        self.environment |= {name: value for name, value in os.environ.items() if name.startswith(network)}

    def place(self, text: str) -> str:
        """A text with the image's paths below the folder."""
        return re.sub(r"(?<![\w.])/(opt|app|tmp)\b", rf"{self.root}/\1", text)

    def build(self, dockerfile: str) -> list[str]:
        """Take each step; returns those that only a container engine can take."""
        left = []
        for line in re.sub(r"\\\n", " ", dockerfile).splitlines():
            step, _, rest = line.partition(" ")
            match step:
                case "ENV":
                    self._set(rest)
                case "COPY" if not rest.startswith("--from"):
                    self._copy(*rest.split())
                case "RUN" if " -m pip " in rest:
                    self._install(*self.place(rest).split())
                case "RUN" if "useradd" not in rest:
                    self.run(*self.place(rest).split(), PYTHONDONTWRITEBYTECODE="")  # later starts find it compiled
                case "" | "#" | "FROM" | "ARG" | "COPY":
                    pass
                case _:
                    left.append(line)
        return left

    def _set(self, rest: str) -> None:
        for name, value in (each.split("=", 1) for each in rest.split()):
            self.environment[name] = self.place(value).replace("$PATH", self.environment["PATH"])

    def _copy(self, source: str, target: str) -> None:
        origin, place = self._context / source, Path(self.place(target))
        place.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, place)
        else:
            shutil.copy(origin, place)

    def _install(self, *command: str) -> None:
        """Take pip's step: pip installs one package, and uv all of them with the same options.

        Both want hashes and wheels, and refuse a lock that lacks a package. pip reads the index's page of each of some
        eighty packages and compiles every file of theirs, forty seconds of a processor.
        """
        (lock,) = (each for each in command if each.endswith(".txt"))
        entry = re.search(r"^typing-extensions==(?:.*\\\n)*.*\n", Path(lock).read_text(encoding="utf-8"), re.MULTILINE)
        assert entry is not None
        one = self.root / "one.txt"
        one.write_text(entry[0], encoding="utf-8")
        self.run(*(str(one) if each == lock else each for each in command))
        uv, python = Path(sys.executable).with_name("uv"), command[command.index("--python") + 1]
        options = command[command.index("install") + 1 :]
        # From the project's folder, for its settings of certificates.
        self.run(str(uv), "--directory", str(ROOT), "pip", "install", "--quiet", "--python", python, *options)

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command with what the Dockerfile has set so far, and nothing else."""
        done = self.attempt(*command, **variables)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done

    def attempt(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module")
def image(tmp_path_factory, image_context):
    root = tmp_path_factory.mktemp("image")
    built = Image(root, image_context)
    left = built.build(DOCKERFILE)
    assert [line.partition(" ")[0] for line in left if not line.startswith("#")] == [
        "RUN",
        "VOLUME",
        "WORKDIR",
        "USER",
        "EXPOSE",
        "STOPSIGNAL",
        "ENTRYPOINT",
    ]
    return built


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_worker_starts_from_what_the_steps_make_and_names_what_it_lacks(image):
    done = image.attempt("python", "-m", "worker")

    assert done.returncode == 2, done.stderr
    assert "SEGUE_BUCKET is missing" in done.stdout + done.stderr
    where = image.run("python", "-c", "import segue, strands, sys; print(segue.__file__, strands.__file__, sys.prefix)")
    assert all(path.startswith(str(image.root)) for path in where.stdout.split())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_agent_is_built_from_what_the_steps_make(image):
    built = image.run(
        *("python", "-c", "from worker.agent import build_agent; print(type(build_agent(None)).__name__)"),
        SEGUE_PROVIDER="offline",
        AWS_REGION="us-east-1",
    )

    assert built.stdout.strip() == "BidiAgent"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_in_the_image_installs_and_all_of_it_is_compiled(image):
    assert image.attempt("python", "-m", "pip", "--version").returncode != 0
    for package in ("shared", "worker", "segue"):
        files = list((image.root / "app" / package).rglob("*.py*"))
        compiled = [each for each in files if each.suffix == ".pyc"]
        assert 2 * len(compiled) == len(files)
