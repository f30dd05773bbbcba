"""`millrace models`: listing model versions and rolling back to an earlier one."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.age import age
from cli.kafka import open_kafka
from cli.run import run
from infra import clock
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.kafka.readers.topic_tail import last
from infra.kafka.registry import open_registry
from infra.redis.stores.model_status import NOT_JUDGED, REFUSED, REPLACED, SERVING, Version, with_current_status
from infra.settings import Settings, read_settings
from topics.topic import ITEM_WEIGHTS, MODEL_VERSIONS

models = typer.Typer(invoke_without_command=True, add_completion=False, rich_markup_mode="rich")
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_COLORS = {SERVING: "green", REFUSED: "red", NOT_JUDGED: "yellow", REPLACED: "dim"}


@models.callback()
def show(context: typer.Context, as_json: _Json = False) -> None:
    """List the stored model versions: status, age, events, metrics, and the reason for the status.

    Examples:

    millrace models

    millrace models --json | jq '.[0].metrics'

    millrace models rollback
    """
    if context.invoked_subcommand is not None:
        return
    settings = resolve_addresses(read_settings())
    versions = run(_versions(settings))
    if as_json:
        print(msgspec.json.encode(versions).decode())
    else:
        _show(versions, Console(highlight=False))


@models.command()
def rollback(
    version: Annotated[str, typer.Argument(help="The version. Default: the one before the version in service.")] = "",
    reason: Annotated[str, typer.Option(help="The reason, for the record.")] = "",
    as_json: _Json = False,
) -> None:
    """Put an earlier version back into service: its ranking weights and item weights. Workers load it at once.

    The version is read from MODEL_PATH; a running trainer continues learning from it.

    Examples:

    millrace models rollback

    millrace models rollback 20260727T061500.123Z --reason 'feeds got worse'
    """
    settings = resolve_addresses(read_settings())
    serving_version = run(_roll_back(settings, version, reason))
    if as_json:
        print(msgspec.json.encode(serving_version).decode())
    else:
        Console(highlight=False, soft_wrap=True).print(
            f"{serving_version.version} is in service: {serving_version.reason}.", markup=False
        )


async def _versions(settings: Settings) -> list[Version]:
    """Return the stored versions, with their current status."""
    from streams.roles.trainer.artifact_store import ArtifactStore

    serving = await _serving(settings)
    versions = ArtifactStore(settings.model_folder, artifacts_kept=settings.model_artifacts_kept).versions()
    return [with_current_status(version, serving) for version in versions]


async def _roll_back(settings: Settings, version: str, reason: str) -> Version:
    # Imported here: most commands do not need the learner.
    from streams.roles.trainer.artifact_store import ArtifactStore
    from streams.roles.trainer.model_version import record_of
    from streams.roles.trainer.retraining import publish_item_weights

    artifacts = ArtifactStore(settings.model_folder, artifacts_kept=settings.model_artifacts_kept)
    serving = await _serving(settings)
    snapshot = await asyncio.to_thread(artifacts.get, version or artifacts.before(serving))
    full_reason = f"rolled back from {serving or 'nothing'}" + (f": {reason}" if reason else "")
    serving_version = msgspec.structs.replace(
        snapshot.version, status=SERVING, reason=full_reason, created_at=clock.now_ms()
    )
    async with open_kafka(settings) as (registry, publisher):
        entries = await last(settings.kafka_bootstrap_servers, registry, ITEM_WEIGHTS, count=None)
        keys = {(entry.key or b"").decode(errors="replace") for entry in entries}
        await publish_item_weights(publisher, snapshot, keys)
        await publisher.publish(MODEL_VERSIONS, [record_of(snapshot, serving_version)])
    return serving_version


async def _serving(settings: Settings) -> str | None:
    """Return the version in service, without the suffix of online learning."""
    from streams.core.ranking.pipeline import MODEL

    async with open_registry(settings.schema_registry_url) as registry:
        entries = await last(settings.kafka_bootstrap_servers, registry, MODEL_VERSIONS, count=None)
    versions = [entry.value.version for entry in entries if entry.value is not None and entry.value.model == MODEL]
    return versions[-1].partition("+")[0] if versions else None


def _show(versions: list[Version], console: Console) -> None:
    if not versions:
        raise OperatorError("There is no version yet.", "Create one with millrace train.")
    table = Table("version", "status", "age", "events", "NDCG@10", "HR@10", "reason")
    now_ms = clock.now_ms()
    for version in versions:
        color = _COLORS.get(version.status, "default")
        table.add_row(
            version.version,
            f"[{color}]{version.status}[/]",
            age((now_ms - version.created_at) / 1000),
            f"{version.events:,}",
            *(f"{version.metrics[name]:.4f}" if name in version.metrics else "" for name in ("ndcg@10", "hr@10")),
            escape(version.reason),
        )
    console.print(table)
