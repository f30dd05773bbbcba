"""`millrace provision`: creating topics, schemas and tables on running servers."""

from __future__ import annotations

from rich.console import Console

from cli.run import run
from infra.address import Addresses, resolve_addresses
from infra.kafka.admin.provision import provision as provide
from infra.settings import read_settings


def provision() -> None:
    """Create the topics, register the schemas and migrate the database on running servers; repeating it is harmless.

    `millrace up` includes this step.

    Example: KAFKA_BOOTSTRAP_SERVERS=kafka:9092 … millrace provision
    """
    settings = resolve_addresses(read_settings())
    console = Console(stderr=True, highlight=False)
    run(provide(Addresses.from_settings(settings), on_result=lambda name, what: console.print(f"{name}: {what}")))
