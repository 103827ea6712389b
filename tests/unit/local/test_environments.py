"""Environment of each process, and the addresses of services."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from local.deployment import cdk, emulator
from local.errors import LocalError
from local.processes import children
from local.workers import worker_process

INHERITED = {"PATH": "/usr/bin", "HOME": "/nowhere"}


def test_the_emulator_binds_loopback_keeps_state_and_sees_no_docker(settings):
    environment = emulator.environment(settings, 4999, settings.home / "scratch", INHERITED)
    assert environment["BIND_HOST"] == "127.0.0.1"
    assert environment["GATEWAY_PORT"] == "4999"
    assert environment["PERSIST_STATE"] == environment["S3_PERSIST"] == "1"
    for name in ("STATE_DIR", "S3_DATA_DIR", "TMPDIR"):
        assert environment[name].startswith(str(settings.home))
    assert environment["DOCKER_HOST"] == f"unix://{settings.home}/scratch/no-docker.sock"
    assert "AWS_ENDPOINT_URL" not in environment  # its functions would get it whatever port it listens on
    assert environment["PATH"].startswith(str(settings.emulator_python.parent))


def test_temporary_files_go_into_memory_if_there_is_room(settings, tmp_path, monkeypatch):
    folder = emulator.scratch_folder(settings, tmp_path)
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    assert emulator.scratch_folder(settings, tmp_path) == folder
    assert emulator.scratch_folder(settings, tmp_path / "missing") == settings.temporary
    monkeypatch.setattr(emulator, "MEMORY_BYTES", 1 << 60)
    assert emulator.scratch_folder(settings, tmp_path) == settings.temporary


def test_another_users_folder_is_not_used(settings, tmp_path):
    folder = emulator.scratch_folder(settings, tmp_path)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert emulator.scratch_folder(settings, tmp_path) == settings.temporary


def test_a_worker_gets_the_task_definition_with_addresses_of_this_machine(settings, make_deployment):
    deployment = make_deployment("9")
    environment = worker_process.environment(settings, deployment, "w1-ab", 5001, INHERITED)
    assert environment["SEGUE_STAGE"] == "local"
    assert environment["SEGUE_WORKER_VERSION"] == "9"
    assert environment["SEGUE_WORKER_ID"] == "w1-ab"
    assert environment["SEGUE_WORKER_PORT"] == "5001"
    assert environment["SEGUE_WORKER_HOST"] == environment["SEGUE_BIND_HOST"] == "127.0.0.1"
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert environment["SEGUE_MANAGEMENT_ENDPOINT"] == "http://127.0.0.1:4566/_aws/execute-api/abc/local"
    assert deployment.websocket_url == "ws://127.0.0.1:4566/_aws/execute-api/abc/local"


def test_the_cdk_reaches_nothing_but_the_emulator(settings):
    environment = cdk.environment(settings, "http://127.0.0.1:4566", INHERITED)
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert environment["AWS_ACCESS_KEY_ID"] == "test"
    assert environment["AWS_CONFIG_FILE"] == environment["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"


def test_a_configured_port_in_use_is_one_clear_line(settings):
    with emulator_on_a_free_port() as port, pytest.raises(LocalError, match=f"port {port} on 127.0.0.1 is in use"):
        emulator.choose_port(replace(settings, port=port))


def test_the_port_of_last_time_is_preferred_while_it_is_free(settings):
    settings.state.mkdir(parents=True)
    with emulator_on_a_free_port() as port:
        (settings.state / "port").write_text(f"{port}\n")
        assert emulator.choose_port(settings) != port
    assert emulator.choose_port(settings) == port


def emulator_on_a_free_port():
    import contextlib
    import socket

    @contextlib.contextmanager
    def listening():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            yield listener.getsockname()[1]

    return listening()


def test_outputs_of_all_stacks_become_one_mapping(tmp_path):
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps({"A": {"BucketName": "b"}, "B": {"ApiId": "x"}}))
    assert cdk.read_outputs(path) == {"BucketName": "b", "ApiId": "x"}
    path.write_text(json.dumps({"A": {"ApiId": "y"}, "B": {"ApiId": "x"}}))
    with pytest.raises(LocalError, match="ApiId of B is also an output of another stack"):
        cdk.read_outputs(path)
    with pytest.raises(LocalError, match="deploy again"):
        cdk.read_outputs(tmp_path / "missing.json")


def test_the_end_of_a_log_is_short_and_its_absence_no_error(tmp_path):
    log = tmp_path / "log"
    log.write_text("\n".join(str(number) for number in range(100)))
    assert children.tail(log, 3) == "97\n98\n99"
    assert children.tail(tmp_path / "missing") == ""
