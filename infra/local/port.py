"""Ports of the local stack."""

from __future__ import annotations

import errno
import random
import socket
from dataclasses import dataclass

import psutil

from infra.error import OperatorError
from infra.settings import Settings

HOST = "127.0.0.1"
_BELOW_EPHEMERAL = range(20_000, 32_000)
"""Ports that are not used for outgoing connections, so that a free one stays free until its server binds it."""
_reserved_ports: set[int] = set()


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that clients connect to."""

    kafka: int
    schema_registry: int
    redis: int
    database: int

    @classmethod
    def from_settings(cls, settings: Settings) -> Ports:
        """Return the ports in the settings."""
        return cls(settings.kafka_port, settings.schema_registry_port, settings.redis_port, settings.database_port)

    @classmethod
    def free(cls) -> Ports:
        """Return free ports."""
        return cls(*free_ports(4))


def free_ports(count: int) -> list[int]:
    """Return free ports that were not returned before: the holder of an earlier one may not listen yet."""
    ports: list[int] = []
    for port in random.sample(_BELOW_EPHEMERAL, len(_BELOW_EPHEMERAL)):
        if len(ports) == count:
            break
        if port not in _reserved_ports and is_free(port):
            _reserved_ports.add(port)
            ports.append(port)
    return ports


def is_free(port: int) -> bool:
    """Say whether a server can listen on a port of the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # like servers: old connections do not block it
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def require_free(port: int, *, name: str, port_setting: str, url_setting: str | None = None) -> None:
    """Check that a server's port is free.

    Args:
        port: The port.
        name: Name of the server.
        port_setting: Name of the setting for another port.
        url_setting: Name of the setting for an existing server, if any.

    Raises:
        OperatorError: the port is taken; names the process that holds it, if visible.
    """
    if is_free(port):
        return
    remedy = f"Stop what holds it, or set {port_setting} to another port"
    if url_setting is not None:
        remedy += f", or set {url_setting} to use a {name} that already runs"
    raise OperatorError(f"Port {port}, which {name} needs, is taken{_holder(port)}.", f"{remedy}.")


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            is_listener = connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN
            if is_listener and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:  # some systems hide the processes of other users
        pass
    return ""
