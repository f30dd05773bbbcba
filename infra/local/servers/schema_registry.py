"""Apicurio Registry, which stores schemas in Kafka and serves the Confluent API."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from infra.local.port import HOST, free_ports
from infra.local.process import Command
from infra.local.servers import maven
from infra.local.servers.java import JAVA, MAX_HEAP, StartCache
from infra.local.servers.maven import OnDownload
from infra.local.servers.server import LocalServer

VERSION = "3.3.3"
_ASK_S = 4.0


class SchemaRegistry(LocalServer):
    """A registry with Kafka as its storage."""

    name = "schema registry"
    port_setting = "SCHEMA_REGISTRY_PORT"
    url_setting = "SCHEMA_REGISTRY_URL"

    def __init__(self, kafka_bootstrap_servers: str, cache: Path, port: int, *, on_progress: OnDownload) -> None:
        self.port = port
        self._kafka, self._on_progress = kafka_bootstrap_servers, on_progress
        (self._management_port,) = free_ports(1)
        self._program = cache / f"apicurio-registry-{VERSION}"
        self._start_cache = StartCache(self._program)

    @property
    def url(self) -> str:
        """Return the URL of the Confluent API."""
        return f"http://{HOST}:{self.port}/apis/ccompat/v7"

    async def prepare(self) -> None:
        """Download the registry."""
        coordinates = f"io.apicurio:apicurio-registry-app:{VERSION}:all"
        await asyncio.to_thread(
            maven.archive, self._program, coordinates, on_progress=self._on_progress, instead=self.url_setting
        )

    def command(self) -> Command:
        """Return the registry's command line."""
        config = {
            "apicurio.storage.kind": "kafkasql",
            "apicurio.kafkasql.bootstrap.servers": self._kafka,
            # At the start it waits this long, twice, for snapshots, which we do not use.
            "apicurio.kafkasql.consumer.poll.timeout": 500,
            "quarkus.http.host": HOST,
            "quarkus.http.port": self.port,
            "quarkus.http.access-log.enabled": "false",
            "quarkus.management.host": HOST,
            "quarkus.management.port": self._management_port,
            "quarkus.log.level": "WARN",
        }
        return Command(
            argv=[
                *(str(JAVA), MAX_HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *self._start_cache.flags()),
                *("--add-opens", "java.base/java.lang=ALL-UNNAMED", "--enable-native-access=ALL-UNNAMED"),
                *(f"-D{key}={value}" for key, value in config.items()),
                *("-cp", self._class_path, "io.quarkus.runner.GeneratedMain"),
            ],
            stop_timeout_s=20.0 if self._start_cache.exists else 90.0,
        )

    async def check(self) -> None:
        """Request the subjects and the readiness: until it has loaded its schemas, it does not find them."""
        async with httpx.AsyncClient(timeout=_ASK_S) as client:
            (await client.get(f"{self.url}/subjects")).raise_for_status()
            (await client.get(f"http://{HOST}:{self._management_port}/health/ready")).raise_for_status()

    def on_stop(self) -> None:
        """Keep the recorded cache."""
        self._start_cache.publish()

    @property
    def _class_path(self) -> str:
        """Return all jars for the JVM's own class loader, the only one that supports the AOT cache.

        The classes transformed by the build come before the originals that they replace.
        """
        patterns = ("quarkus/transformed-bytecode.jar", "quarkus/generated-*.jar", "app/*.jar")
        jars = [jar for pattern in (*patterns, "lib/boot/*.jar", "lib/main/*.jar") for jar in self._jars(pattern)]
        return ":".join(jars)

    def _jars(self, pattern: str) -> list[str]:
        return sorted(str(jar) for jar in self._program.glob(pattern))
