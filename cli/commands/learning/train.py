"""`millrace train`: requesting a full fit of the model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated

import msgspec
import typer
import uuid_utils
from rich.console import Console

from cli.bar import bars
from cli.kafka import open_kafka
from cli.run import run
from infra import clock
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.redis import heartbeat
from infra.redis.connection import connect
from infra.redis.stores.model_status import NEVER_SERVED, ModelStatus, RedisModelStatusStore, Training, Version
from infra.settings import Settings, read_settings
from schemas.limit import RETRAINER
from schemas.types import Trigger
from topics.topic import TRIGGERS

_ASK_EVERY_S = 0.2
_BEGINS_WITHIN_S = 30.0


def train(
    reason: Annotated[str, typer.Option(help="The reason, for the record.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the version as one line of JSON.")] = False,
) -> None:
    """Let the trainer fit the model to the complete history, and wait for the result.

    A version that ranks worse than the one in service is refused; the command then ends with exit code 1.

    Examples:

    millrace train

    millrace train --reason 'a new catalog' --json | jq .metrics
    """
    settings = resolve_addresses(read_settings())
    with bars(transient=True) as bar:
        task = bar.add_task("waiting for the trainer", total=None)

        def show(training: Training) -> None:
            description = "fitting the item weights" if training.learned and training.progress >= 1 else "learning"
            bar.update(task, description=description, completed=training.learned, total=training.total or None)

        version = run(_train(settings, reason, on_progress=show))
    if as_json:
        print(msgspec.json.encode(version).decode())
    else:
        Console(highlight=False, soft_wrap=True).print(
            f"Version {version.version} is {version.status}: {version.reason}.\n"
            f"It was trained on {version.events:,} events.",
            markup=False,
        )
    if version.status in NEVER_SERVED:
        raise typer.Exit(1)


async def _train(settings: Settings, reason: str, *, on_progress: Callable[[Training], None]) -> Version:
    """Request a fit and return the resulting version."""
    redis = connect(settings.redis_url)
    try:
        if not any(beat["role"] == "trainer" for beat in await heartbeat.heartbeats(redis)):
            raise OperatorError(
                "No trainer is running.", "Start one with millrace worker --roles trainer, or millrace up."
            )
        event_id = str(uuid_utils.uuid7())
        await _publish_request(settings, event_id, reason)
        return await _wait_for_version(RedisModelStatusStore(redis), event_id, on_progress)
    finally:
        await redis.aclose()


async def _publish_request(settings: Settings, event_id: str, reason: str) -> None:
    trigger = Trigger(event_id=event_id, user_id=RETRAINER, kind="retrain", reason=reason, occurred_at=clock.now_ms())
    async with open_kafka(settings) as (_, publisher):
        await publisher.publish(TRIGGERS, [trigger])


async def _wait_for_version(
    model_status: RedisModelStatusStore, event_id: str, on_progress: Callable[[Training], None]
) -> Version:
    """Wait for the version that answers a request.

    Raises:
        OperatorError: the trainer is not working on the request.
    """
    last_progress_s = time.monotonic()
    while True:
        status: ModelStatus = await model_status.read()
        for version in status.versions:
            if event_id in version.request_ids:
                return version
        if status.training.state == "fitting":
            last_progress_s = time.monotonic()
            if event_id in status.training.request_ids:
                on_progress(status.training)
        elif time.monotonic() - last_progress_s > _BEGINS_WITHIN_S:
            raise OperatorError(
                "The trainer has not answered.", "Its log has the reason why the fit failed or was cancelled."
            )
        await asyncio.sleep(_ASK_EVERY_S)
