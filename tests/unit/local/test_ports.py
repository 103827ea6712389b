"""Ports that are kept for a process that starts."""

from __future__ import annotations

import socket
import sys

import pytest

from local.processes.ports import ReservedPort, free_port, port_is_free
from local.settings import LOOPBACK


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere two sockets cannot share a port")
def test_a_reserved_port_is_a_servers_and_nothing_elses() -> None:
    with ReservedPort() as reserved:
        address = (LOOPBACK, reserved.number)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(address)
        with socket.create_server(address) as server, socket.create_connection(address) as client:
            client.sendall(b"hello")
            accepted, _ = server.accept()
            with accepted:
                assert accepted.recv(5) == b"hello"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere two sockets cannot share a port")
def test_no_other_is_given_a_reserved_port() -> None:
    with ReservedPort() as reserved, ReservedPort() as another:
        assert reserved.number not in {another.number, *(free_port() for _ in range(200))}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere two sockets cannot share a port")
def test_a_certain_port_can_be_reserved_if_it_is_free() -> None:
    port = free_port()
    with ReservedPort(port) as reserved, socket.create_server((LOOPBACK, reserved.number)):
        assert reserved.number == port
        with pytest.raises(OSError, match="in use"):
            ReservedPort(port)


def test_a_released_port_is_free() -> None:
    reserved = ReservedPort()
    reserved.release()
    reserved.release()
    assert port_is_free(reserved.number)
