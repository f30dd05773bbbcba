"""Apache Kafka in KRaft mode: broker and controller in one process."""

from __future__ import annotations

import asyncio
import base64
import logging
import uuid
from functools import cached_property
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient

from infra.error import OperatorError
from infra.kafka.segments.log_rewrite import read_plan, rewrite_logs
from infra.local.port import HOST, free_ports
from infra.local.process import Command
from infra.local.program import run_program
from infra.local.servers import maven
from infra.local.servers.java import JAVA, MAX_HEAP, StartCache
from infra.local.servers.maven import OnDownload
from infra.local.servers.server import LocalServer
from infra.private_file import private_folder, write_private

VERSION = "4.1.2"
_COORDINATES = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"
REWRITE_PLAN = "rewrite-plan.json"
"""File in the server's folder with records to remove from its logs before it starts the next time."""
_ASK_S = 4.0
_LOG = logging.getLogger(__name__)
_FORMAT_WITHIN_S = 60

_CONFIG = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# Workers request a session timeout of 6 s, so that the partitions of a dead worker are reassigned that soon.
group.min.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=16777216
"""


class Kafka(LocalServer):
    """A cluster of a single broker."""

    name = "Kafka"
    port_setting = "KAFKA_PORT"
    url_setting = "KAFKA_BOOTSTRAP_SERVERS"

    def __init__(self, folder: Path, cache: Path, port: int, *, on_progress: OnDownload) -> None:
        self.port = port
        self._folder, self._on_progress = folder, on_progress
        self._program = cache / f"kafka-{VERSION}"
        self._start_cache = StartCache(self._program)

    @property
    def url(self) -> str:
        """Return the address of the bootstrap server."""
        return f"{HOST}:{self.port}"

    async def prepare(self) -> None:
        """Download Kafka, format its log directory, and remove the records of a plan from its logs."""
        await asyncio.to_thread(
            maven.jars, self._program, _COORDINATES, on_progress=self._on_progress, instead=self.url_setting
        )
        private_folder(self._folder)
        (controller_port,) = free_ports(1)
        config = _CONFIG.format(host=HOST, port=self.port, controller_port=controller_port, data=self._data)
        write_private(self._config, config.encode())
        if not (self._data / "meta.properties").exists():
            await self._format()
        if self._plan.exists():
            await asyncio.to_thread(self._rewrite)

    def command(self) -> Command:
        """Return the broker's command line."""
        return Command(
            argv=[
                *(str(JAVA), MAX_HEAP, "-XX:+UseSerialGC", *self._start_cache.flags()),
                "--sun-misc-unsafe-memory-access=allow",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss",
                *("-cp", self._class_path, "kafka.Kafka", str(self._config)),
            ],
            stop_timeout_s=30.0 if self._start_cache.exists else 60.0,
        )

    async def check(self) -> None:
        """Request the broker's metadata."""
        await asyncio.to_thread(self._admin.list_topics, timeout=_ASK_S)

    def on_stop(self) -> None:
        """Keep the recorded cache."""
        self._start_cache.publish()

    @property
    def _plan(self) -> Path:
        return self._folder / REWRITE_PLAN

    def _rewrite(self) -> None:
        """Rewrite the logs; a broker whose logs cannot be rewritten starts, repairs them, and keeps the plan."""
        try:
            report = rewrite_logs(self._data, read_plan(self._plan))
        except OperatorError as error:
            _LOG.error("the logs of erased users are not rewritten: %s", error)
            return
        self._plan.unlink()
        _LOG.info("%s log segments were rewritten without erased users", report.segments)
        if report.foreign_partitions:
            _LOG.warning("created anew since the plan was made: %s", ", ".join(report.foreign_partitions))

    @property
    def _config(self) -> Path:
        return self._folder / "server.properties"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _class_path(self) -> str:
        return ":".join(str(jar) for jar in sorted(self._program.glob("*.jar")))

    @cached_property
    def _admin(self) -> Any:
        return AdminClient({"bootstrap.servers": self.url, "log_level": 0, "reconnect.backoff.max.ms": 100})

    async def _format(self) -> None:
        cluster_id = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        tool = ("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._config), "--ignore-formatted")
        argv = [str(JAVA), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", self._class_path, *tool]
        code, out = await run_program(argv, within_s=_FORMAT_WITHIN_S)
        if code:
            raise OperatorError(
                f"Kafka's log folder {self._data} could not be formatted:\n{out[-1000:]}",
                "If its data is not needed, remove it and start again.",
            )
