"""Recommendations of Context IQ: with ML and LLM scores, explained, and exported as CSV.

A feed is not in the order of its scores: diversity, exploration and the user's absence change it. These lists hold its
first items, sorted by score.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.http.body import check_count, parse_body
from api.http.endpoint import Endpoint
from api.http.error import NoFeedError, NotRecommendedError, StoreUnavailableError
from api.http.query import MAX_LIMIT, UserId, parse_query, validate_user_id
from api.http.response import json_response
from domain.scale import min_max_scaled
from domain.timestamp import iso_time
from infra.redis.connection import StoreError
from infra.redis.stores.feed_store import DEFAULT_FEED, contributions, feed_at
from schemas.limit import ID_CHARS
from schemas.types import Feed

DIGITS = 4
"""Decimals of scores."""
_ML = "ml"
"""The part of a score that no feature group explains."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of cells that a spreadsheet would treat as formulas."""
_CSV_COLUMNS = (
    "user_id",
    "rank",
    "content_id",
    "title",
    "category",
    "ml_score",
    "llm_score",
    "combined_score",
    "reason",
)

ContentId = Annotated[str, Meta(min_length=1, max_length=ID_CHARS)]
Count = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="Maximum number of results.")]


class RecommendationQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A user, and the number of recommendations."""

    user_id: UserId
    limit: Count = 10


class ExplanationQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A user, a recommended item, and the number of recommendations among which it has its rank."""

    user_id: UserId
    content_id: ContentId
    limit: Count = 10


class ExportBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /api/v1/recommendations/export: the users, and the number of recommendations for each."""

    user_ids: list[str]
    limit: Count = 10


class ScoredContent(msgspec.Struct):
    """One recommendation. Scores are from 0 to 1; without an LLM score the combined score is the ML score."""

    content_id: str
    title: str
    category: str
    ml_score: float
    llm_score: float | None
    combined_score: float


class ScoredContents(msgspec.Struct):
    """Recommendations by `combined_score`, highest first; items out of stock come last if OUT_OF_STOCK is `last`.

    `cached` is true for recommendations that were made for the user before the request, if they reflect the user's last
    interaction.
    """

    user_id: str
    recommendations: list[ScoredContent]
    cached: bool  # wire
    timestamp: str


class Explanation(ScoredContent):
    """The explanation of a recommendation.

    `rank` is its place among the first `limit` recommendations, and its place in the feed if it is not among them.
    `parts` are the contributions of the feature groups, which add up to `combined_score`.
    """

    user_id: str
    rank: int
    reason: str
    source: str
    parts: dict[str, float]


_export = msgspec.json.Decoder(ExportBody)


class ContextIqRecommendations:
    """Endpoints of Context IQ for recommendations."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "GET",
                "/api/v1/recommendations",
                self.recommendations,
                query=RecommendationQuery,
                answers={200: ScoredContents},
                errors=(NoFeedError, StoreUnavailableError),
            ),
            Endpoint(
                "GET",
                "/api/v1/recommendations/explain",
                self.explain,
                query=ExplanationQuery,
                answers={200: Explanation},
                errors=(NoFeedError, NotRecommendedError, StoreUnavailableError),
            ),
            Endpoint(
                "POST",
                "/api/v1/recommendations/export",
                self.export,
                scope="service",
                body=ExportBody,
                example={"user_ids": ["user123", "alex"], "limit": 10},
                answers={200: "text/csv"},
                errors=(StoreUnavailableError,),
            ),
        ]

    async def recommendations(self, request: Request) -> Response:
        """Return a user's recommendations with their scores: from Redis, else from the archive, else everyone's."""
        query = parse_query(request, RecommendationQuery)
        published_offset = await self._context.published_offset(query.user_id)
        feed, in_store = await self._feed(query.user_id)
        contents = [content for _, content in await self._scored(feed, query.limit)]
        is_cached = in_store and feed.interactions_offset >= published_offset
        return json_response(ScoredContents(query.user_id, contents, is_cached, iso_time(feed.generated_at)))

    async def explain(self, request: Request) -> Response:
        """Explain why an item is recommended to a user."""
        query = parse_query(request, ExplanationQuery)
        feed, _ = await self._feed(query.user_id)
        for rank, (index, one) in enumerate(await self._scored(feed, query.limit, with_rest=True), start=1):
            if one.content_id == query.content_id:
                return json_response(
                    Explanation(
                        **msgspec.structs.asdict(one),
                        user_id=query.user_id,
                        rank=rank,
                        reason=feed.reasons[index],
                        source=feed.sources[index],
                        parts=_parts(feed, index, one.combined_score),
                    )
                )
        raise NotRecommendedError(query.user_id, query.content_id)

    async def export(self, request: Request) -> Response:
        """Return the recommendations of many users as CSV; users without a feed are omitted."""
        body = await parse_body(request, _export, self._context.settings.api_max_body_bytes)
        check_count("user_ids", body.user_ids, self._context.settings.api_max_batch)
        users = list(dict.fromkeys(map(validate_user_id, body.user_ids)))
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\r\n")
        lines.writerow(_CSV_COLUMNS)
        now_ms = self._context.clients.now_ms()
        for user_id, stored_feed in zip(users, await self._context.clients.feeds.read(users), strict=True):
            if stored_feed is not None:
                feed = feed_at(stored_feed, now_ms, surface=self._context.default_surface)
                reasons = dict(zip(feed.items, feed.reasons, strict=True))
                for rank, (_, one) in enumerate(await self._scored(feed, body.limit), start=1):
                    cells = (one.content_id, one.title, one.category, one.ml_score, one.llm_score, one.combined_score)
                    lines.writerow(map(_cell, (user_id, rank, *cells, reasons[one.content_id])))
        headers = {"Content-Disposition": 'attachment; filename="recommendations.csv"', "Cache-Control": "no-store"}
        return Response(text.getvalue(), headers=headers, media_type="text/csv")

    async def _feed(self, user_id: str) -> tuple[Feed, bool]:
        """Return a user's feed, and whether it is the user's own in the store.

        A user without one gets the last one that the archive has, or the non-personalized feed.
        """
        feed = await self._context.feed_of(user_id, surface=self._context.default_surface)
        if feed.user_id != DEFAULT_FEED:
            return feed, True
        clients = self._context.clients
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(self._context.settings.api_store_timeout_s):
                feed = await clients.feed_history.read(user_id, clients.now_ms()) or feed
        return feed, False

    async def _scored(self, feed: Feed, limit: int, *, with_rest: bool = False) -> list[tuple[int, ScoredContent]]:
        """Return the first visible items of a feed by score, with their indices in it.

        Args:
            feed: The feed.
            limit: Maximum number of items.
            with_rest: Whether to add the visible items beyond these, in the order of the feed.
        """
        visible = await self._context.serve_feed(feed, max(limit, len(feed.items)) if with_rest else limit)
        ml = feed.ml_scores or min_max_scaled(feed.scores).tolist()
        combined_scores = feed.scores if feed.ml_scores else ml
        contents = [
            (
                index,
                ScoredContent(
                    content_id=item.item_id,
                    title=item.title,
                    category=item.category,
                    ml_score=round(ml[index], DIGITS),
                    llm_score=feed.llm_scores.get(item.item_id),
                    combined_score=round(combined_scores[index], DIGITS),
                ),
            )
            for index, item in self._context.read_items(visible)
        ]
        first_trailing = len(feed.items) - feed.trailing
        by_score = sorted(contents[:limit], key=lambda pair: (pair[0] >= first_trailing, -pair[1].combined_score))
        return by_score + contents[limit:]


def _parts(feed: Feed, index: int, combined_score: float) -> dict[str, float]:
    """Return the contributions to a combined score by feature group; `ml` has what no group explains.

    Without scores of a language model, they are scaled as the scores of the feed are: a difference between items stays
    one, and the lowest score of the feed, which becomes 0, is subtracted in `ml`.

    Args:
        feed: The feed.
        index: The index of the item in it.
        combined_score: The score that the contributions add up to.
    """
    spread = 0.0 if feed.ml_scores else max(feed.scores) - min(feed.scores)
    groups = {name: round(value / (spread or 1.0), DIGITS) for name, value in contributions(feed, index).items()}
    explained_score = sum(value for name, value in groups.items() if name != _ML)
    parts = groups | {_ML: round(combined_score - explained_score, DIGITS)}
    return {name: value for name, value in parts.items() if value}


def _cell(value: object) -> object:
    """Return a cell value that a spreadsheet does not treat as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
