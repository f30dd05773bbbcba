"""Purge of the local Kafka's logs: a plan that the server carries out before it starts the next time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra import address
from infra.error import OperatorError
from infra.kafka.segments.log_rewrite import RewritePlan
from infra.local import stale_process
from infra.local.servers.kafka import REWRITE_PLAN
from infra.private_file import write_private

_RECORD = Path("run") / "kafka.json"
_RESTART_WITHIN_S = 300.0
_LOOK_EVERY_S = 0.1
_ASK_S = 2.0


def is_local(home: Path, bootstrap_servers: str) -> bool:
    """Return whether the brokers are the local stack of a home.

    Args:
        home: Folder of the stack.
        bootstrap_servers: Brokers, as comma-separated host:port.
    """
    try:
        local_addresses = msgspec.json.decode((home / address.FILE).read_bytes(), type=address.Addresses)
    except (FileNotFoundError, msgspec.MsgspecError):
        return False
    return local_addresses.kafka_bootstrap_servers == bootstrap_servers and (home / _RECORD).exists()


def leave_plan(home: Path, plan: RewritePlan) -> None:
    """Have the local Kafka remove the records of a plan before it starts the next time.

    Args:
        home: Folder of the stack.
        plan: The records, which take the place of those of an earlier plan.
    """
    write_private(home / "kafka" / REWRITE_PLAN, msgspec.json.encode(plan))


async def restart_kafka(home: Path, bootstrap_servers: str) -> None:
    """Restart the local Kafka, and return once it has carried out its plan and answers.

    Args:
        home: Folder of the stack.
        bootstrap_servers: The broker, as host:port.

    Raises:
        OperatorError: it does not run, or did not carry out the plan.
    """
    earlier_run = (home / _RECORD).read_bytes()
    if not await asyncio.to_thread(stale_process.interrupt, home / _RECORD):
        raise OperatorError("The local Kafka does not run.", "It carries out the plan when `millrace up` starts it.")
    try:
        async with asyncio.timeout(_RESTART_WITHIN_S):
            while not await asyncio.to_thread(_is_back, home, earlier_run, bootstrap_servers):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError as error:
        raise OperatorError(
            f"Kafka does not answer {_RESTART_WITHIN_S:g} s after its restart.",
            f"See {home / 'logs' / 'kafka.log'}, and restart `millrace up`.",
        ) from error
    if (home / "kafka" / REWRITE_PLAN).exists():
        raise OperatorError(
            "Kafka runs again, but its logs could not be rewritten.", "`millrace up` has logged the reason. Try again."
        )


def _is_back(home: Path, earlier_run: bytes, bootstrap_servers: str) -> bool:
    """Return whether another process than that of an earlier run answers."""
    try:
        if (home / _RECORD).read_bytes() == earlier_run:
            return False
        AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0}).list_topics(timeout=_ASK_S)
    except (FileNotFoundError, KafkaException):
        return False
    return True
