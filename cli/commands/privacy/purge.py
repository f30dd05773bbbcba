"""`millrace purge`: removing what erased users have left in logs and files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from cli.bar import read_bar
from cli.run import run
from infra.address import resolve_addresses
from infra.erasure.erasure_index import required_erasure_key
from infra.erasure.purge.purge_plan import PurgePlan, purge_plan
from infra.erasure.purge.store_purge import purge_postgres, purge_redis
from infra.error import OperatorError
from infra.kafka.readers.record_window import OnReadProgress
from infra.kafka.registry import open_registry
from infra.kafka.segments.log_rewrite import read_plan, rewrite_logs
from infra.private_file import write_private
from infra.redis.connection import StoreError, connect
from infra.settings import Settings, read_settings


def purge(
    plan: Annotated[Path | None, typer.Option(help="File of the plan for the brokers' logs.")] = None,
    restart_kafka: Annotated[
        bool, typer.Option("--restart-kafka", help="Restart the local Kafka, which carries out the plan.")
    ] = False,
    rewrite: Annotated[
        Path | None, typer.Option(help="Carry out the plan in this folder of a stopped broker, and do nothing else.")
    ] = None,
) -> None:
    """Remove what erased users have left in the files of PostgreSQL and Redis, and in the logs of Kafka.

    PostgreSQL's tables of users are rewritten, each locked meanwhile, and Redis's files. Kafka deletes records only by
    age: the offsets of the records of erased users, and of nobody else, become a plan, and logs are rewritten without
    them while their broker is stopped. All other records keep their offsets and times. The local Kafka carries out
    the plan when it starts the next time. Elsewhere, stop one broker after the other, run --rewrite on its machine for
    each folder of `log.dirs`, and start it again. Read "Purge" in docs/privacy.md before.

    Examples:

    millrace purge --restart-kafka

    millrace purge --plan plan.json

    millrace purge --rewrite /var/lib/kafka --plan plan.json
    """
    console = Console(highlight=False, stderr=True)
    if rewrite is not None:
        if plan is None:
            raise OperatorError("Name the plan.", "millrace purge --rewrite DIR --plan FILE")
        with read_bar("rewriting logs") as on_progress:
            report = rewrite_logs(rewrite, read_plan(plan), on_progress=on_progress)
        console.print(
            f"Segments rewritten: {report.segments:,}; {report.bytes_before:,} bytes before, {report.bytes_after:,} now"
        )
        for name in report.foreign_partitions:
            console.print(f"[yellow]{name} was created anew since the plan was made[/], and is as it was.")
        return
    settings = resolve_addresses(read_settings())
    required_erasure_key(settings)
    if plan is None and not _has_local_kafka(settings):
        raise OperatorError(
            f"The brokers {settings.kafka_bootstrap_servers} are not the local stack of {settings.millrace_home}.",
            "Name a file for the plan, --plan FILE, and carry it out on each broker: docs/privacy.md.",
        )
    with read_bar("reading topics") as on_progress:
        result = run(_purge(settings, console, on_progress))
    console.print(f"Kafka: {result.rewrite.record_count:,} records of erased users.")
    if result.unread_count:
        console.print(
            f"[yellow]{result.unread_count:,} tombstones and requests stay[/] until all groups have read them."
        )
    _hand_over(settings, result, plan, console, restarts=restart_kafka)


def _has_local_kafka(settings: Settings) -> bool:
    try:
        from infra.local import log_purge
    except ImportError:  # without the extra there is no local stack
        return False
    return log_purge.is_local(settings.millrace_home, settings.kafka_bootstrap_servers)


async def _purge(settings: Settings, console: Console, on_progress: OnReadProgress) -> PurgePlan:
    """Purge PostgreSQL and Redis, and return the plan for Kafka."""
    redis = connect(settings.redis_url)
    try:
        for name, notes in (
            ("PostgreSQL", await purge_postgres(settings.database_url)),
            ("Redis", await purge_redis(redis)),
        ):
            console.print(f"{name}: files rewritten.")
            for note in notes:
                console.print(f"[yellow]{name}: {note}[/]")
    except StoreError as error:
        raise OperatorError(f"Redis is not purged: {error}", "Start it, then try again.") from error
    finally:
        await redis.aclose()
    async with open_registry(settings.schema_registry_url) as registry:
        return await purge_plan(settings, registry, on_progress=on_progress)


def _hand_over(settings: Settings, result: PurgePlan, file: Path | None, console: Console, *, restarts: bool) -> None:
    """Write the plan to a file, or leave it to the local Kafka."""
    if file is not None:
        write_private(file, msgspec.json.encode(result.rewrite) + b"\n")
        console.print(f"For each stopped broker: millrace purge --rewrite DIR --plan {file}")
        return
    from infra.local import log_purge  # it needs packages of the extra

    home, servers = settings.millrace_home, settings.kafka_bootstrap_servers
    log_purge.leave_plan(home, result.rewrite)
    if not restarts:
        console.print("The logs are rewritten when Kafka starts the next time (--restart-kafka restarts it).")
        return
    run(log_purge.restart_kafka(home, servers))
    console.print("[green]Rewritten:[/] Kafka runs again.")
