"""`millrace explain`: the reasons for one item's position in one user's feed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cli.bar import read_bar
from cli.console import new_console
from cli.run import on_one_core, run
from infra import clock
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.kafka.readers.record_window import window_reader
from infra.kafka.registry import open_registry
from infra.redis.connection import StoreError, connect
from infra.redis.stores.feed_codec import version
from infra.redis.stores.feed_store import RedisFeedStore
from infra.settings import Settings, read_settings
from schemas.types import Feed
from streams.core.ranking.explanation import ItemExplanation
from streams.core.ranking.explanation import explain as explain_item
from streams.core.ranking.feed_comparison import FeedComparison, compare
from streams.core.ranking.pipeline import MODEL, SELECTION_STEPS
from streams.core.ranking.stages.filters import REMOVAL_LABELS
from streams.runtime.ranking_inputs import read_ranking_inputs


class ServedPosition(msgspec.Struct, frozen=True):
    """An item in the feed that is stored in Redis; None where it is not in it."""

    version: str
    generated_at: int
    """Time of the ranking, in ms since the epoch."""
    model: str
    position: int | None
    score: float | None
    reason: str | None


class ExplainReport(msgspec.Struct, frozen=True):
    """The explanation of an item, with the feed that is served."""

    user_id: str
    served: ServedPosition | None  # wire
    """None if no feed of the user is stored."""
    explanation: ItemExplanation
    """Of the feed ranked again, from the newest features and the present catalog and model."""
    comparison: FeedComparison | None
    """Whether the feed ranked again is the one that is served."""
    model: str
    weights: str
    """Version of the weights in service."""
    features_version: int
    """Version of the user's newest features."""


def explain(
    user_id: Annotated[str, typer.Argument(help="The user; ~everyone for the default feed.", show_default=False)],
    item_id: Annotated[str, typer.Argument(help="The item.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Explain the position of an item in a user's feed, or its absence.

    The feed is ranked again by the code of the workers, from the topics that they read: the user's newest features, the
    whole catalogue with its statistics, and the weights in service. The output says whether it equals the feed that is
    served; it differs once any of these has changed. Run it with the settings of the workers. Positions are those in
    the first order of the feed, which a reader sees who comes back at once.

    Examples:

    millrace explain alex music-distant-garden-side-two

    millrace explain alex music-distant-garden-side-two --json | jq '.explanation.features[:3]'
    """
    on_one_core()
    settings = resolve_addresses(read_settings())
    with read_bar("reading the catalogue and the model") as on_progress:
        report = run(_report(settings, user_id, item_id, on_progress=on_progress))
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        _show(report, new_console())


async def _report(
    settings: Settings, user_id: str, item_id: str, *, on_progress: Callable[[int, int], None]
) -> ExplainReport:
    async with (
        aclosing(connect(settings.redis_url)) as redis,
        open_registry(settings.schema_registry_url) as registry,
        window_reader(settings.kafka_bootstrap_servers) as reader,
    ):
        inputs, weights = await read_ranking_inputs(
            settings, registry, reader, user_id=user_id, on_progress=on_progress
        )
        try:
            [served_feed] = await RedisFeedStore(redis).read([user_id])
        except StoreError as error:
            raise OperatorError(f"The served feed cannot be read: {error}", "Start Redis, then try again.") from error
    feed = inputs.feed(now_ms=clock.now_ms() if served_feed is None else served_feed.generated_at)
    try:
        explanation = explain_item(item_id, inputs, feed)
    except KeyError as error:
        raise OperatorError(
            f"There is no item {item_id}: neither the catalogue nor an event names it.",
            "GET /search finds items by their titles, and returns their ids.",
        ) from error
    return ExplainReport(
        user_id=user_id,
        served=None if served_feed is None else _served_position(served_feed, item_id),
        explanation=explanation,
        comparison=None if served_feed is None else compare(served_feed, feed),
        model=MODEL,
        weights=weights,
        features_version=inputs.features.version,
    )


def _served_position(feed: Feed, item_id: str) -> ServedPosition:
    index = feed.items.index(item_id) if item_id in feed.items else None
    return ServedPosition(
        version=version(feed),
        generated_at=feed.generated_at,
        model=feed.model,
        position=None if index is None else index + 1,
        score=None if index is None else feed.scores[index],
        reason=None if index is None else feed.reasons[index],
    )


def _show(report: ExplainReport, console: Console) -> None:
    item = report.explanation
    console.print(
        f"{item.item_id}: {item.title} ({item.category}), user {report.user_id}", markup=False, soft_wrap=True
    )
    console.print(_sentence(item), markup=False, soft_wrap=True)
    console.print(_steps(report))
    console.print(_features(item))
    if item.llm is not None:
        llm = item.llm
        console.print(
            f"Score in the feed: {llm.ml_weight:g} · {llm.ml_score:.4f} (the score above, scaled to the feed)"
            f" + {llm.llm_weight:g} · {llm.llm_score:.4f} (the language model)",
            soft_wrap=True,
        )
    weights = report.weights or "before any learning"
    console.print(f"Model {report.model}, weights {weights}, features {report.features_version}", soft_wrap=True)
    console.print(_comparison(report), soft_wrap=True)


def _sentence(item: ItemExplanation) -> str:
    """Return the outcome in words."""
    match item.outcome:
        case "ranked":
            return f"It is at position {item.position} of {item.feed_items}: “{item.reason}”."
        case "filled_up":
            return f"It is at position {item.position} of {item.feed_items} only because the feed was too short."
        case "removed":
            return f"It is not in the feed: {', and '.join(REMOVAL_LABELS[name] for name in item.removed_by)}."
        case "no_candidate":
            return "It is not in the feed: the catalogue is too large to score whole, and no candidate source names it."
    return f"It is not in the feed: {item.feed_items} other items come before it."


def _steps(report: ExplainReport) -> Table:
    """Return the positions from step to step."""
    item = report.explanation
    table = Table("step", "position", "of")
    table.add_row("by score alone", _number(item.position_by_score), f"{item.candidates:,} candidates")
    steps = ", ".join(SELECTION_STEPS[name] for name in item.steps)
    table.add_row(f"after {steps}", _number(item.position), f"{item.feed_items} in the feed ranked now")
    if report.served is not None:
        table.add_row("as served", _number(report.served.position), f"feed {report.served.version}")
    return table


def _features(item: ItemExplanation) -> Table:
    """Return the features of an item, and their sum."""
    table = Table("feature", "meaning", "value", "weight", "of it the user's own", "contribution")
    for column in table.columns[2:]:
        column.justify = "right"
    for share in item.features:
        numbers = (share.value, share.weight, share.own_weight, share.contribution)
        table.add_row(share.feature, share.description, *(f"{number:+.4f}" for number in numbers))
    table.add_section()
    table.add_row("score", "", "", "", "", f"{item.score:+.4f}")
    return table


def _comparison(report: ExplainReport) -> str:
    """Return how the feed ranked again compares with the one that is served."""
    comparison = report.comparison
    if comparison is None:
        return "[yellow]No feed of the user is stored in Redis.[/]"
    if comparison.is_equal:
        return "[green]The feed ranked now equals the one that is served.[/]"
    cause = "the user's features" if comparison.has_newer_features else "the catalogue, its statistics or the model"
    return (
        f"[yellow]The feed ranked now differs from the one that is served[/] at {comparison.differing_positions}"
        f" positions, and by {comparison.largest_score_difference:.4f} in scores: {cause} changed since, or the"
        " settings here are not those of the workers."
    )


def _number(position: int | None) -> str:
    return "–" if position is None else str(position)
