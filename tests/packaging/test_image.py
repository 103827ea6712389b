import re

from infra.constants import ROOT, WORKER_DOCKERFILE

DOCKERFILE = (ROOT / WORKER_DOCKERFILE).read_text(encoding="utf-8")


def test_the_build_sees_what_the_image_needs_and_nothing_else(image_context):
    seen = {str(each.relative_to(image_context)) for each in image_context.rglob("*") if each.is_file()}

    allowed = ("functions/worker/", "layers/session/python/segue/", "requirements/worker.txt")
    assert not [name for name in seen if not name.startswith(allowed)]
    assert not [name for name in seen if "__pycache__" in name or name.endswith(".pyc")]
    assert {"functions/worker/__main__.py", "functions/worker/agent.py", "requirements/worker.txt"} <= seen
    assert "layers/session/python/segue/__init__.py" in seen


def test_every_copied_path_is_in_the_build_context(image_context):
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)

    assert copied == ["requirements/worker.txt", "layers/session/python/segue", "functions/worker"]
    for path in copied:
        assert (image_context / path).exists()


def test_packages_are_installed_from_the_lock_only():
    (install,) = re.findall(r"^RUN .*pip install.*$", DOCKERFILE, re.MULTILINE)

    assert "--require-hashes" in install
    assert "--only-binary :all:" in install


def test_the_image_runs_as_nobody_special_and_is_told_to_stop_by_sigterm():
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
