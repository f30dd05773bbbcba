"""The personalization contract: ranking of given candidates, user profiles, and model evaluation.

Its experiments are in `api.compat.experiments`. Its other endpoints (`/interaction`, `/retrain`, `/metrics/models`,
`/health`, `/metrics`) belong to the API itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.endpoints.rerank import ERRORS as RANKED_ERRORS
from api.endpoints.rerank import ranked
from api.endpoints.visibility import VisibleFeed
from api.http.body import Values, check_count, new_id, parse_body, texts
from api.http.endpoint import Endpoint
from api.http.error import (
    NoFeedError,
    NoProfileError,
    StoreUnavailableError,
    TooLargeError,
)
from api.http.query import validate_user_id
from api.http.response import json_response
from domain.scale import shares_of_strongest
from infra.redis.metrics.served_metrics import ServedMetrics
from infra.redis.stores.feed_store import contributions
from infra.redis.stores.model_status import LiveModel
from schemas.limit import ID_CHARS, LINE_CHARS
from schemas.types import Candidate, RecentItem, Trigger

_MAX_RESULTS = 500
_BODY_BYTES = 64 << 10
_TRIGGER_BYTES = 900_000
"""Largest message with candidates; brokers accept messages of about 1 MB."""
_SHORT_CONTENT = 500
"""Characters of a candidate's content that are sent to the worker, for text similarity with liked items."""

Id = Annotated[str, Meta(min_length=1, max_length=ID_CHARS)]
Line = Annotated[str, Meta(max_length=LINE_CHARS)]
Share = Annotated[float, Meta(ge=0, le=1)]


class CandidateBody(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate with its metadata; for an item in the catalog, the catalog's metadata takes precedence."""

    id: Id
    title: Line = ""
    content: str = ""
    topics: list[Id] = []
    source: Line = ""
    category: Line = ""

    def record(self) -> Candidate:
        """Return the candidate for the trigger."""
        return Candidate(
            item_id=self.id,
            category=self.category,
            title=self.title,
            text=self.content[:_SHORT_CONTENT],
            topics=self.topics,
            source=self.source,
        )


class DiversityParams(msgspec.Struct, frozen=True, kw_only=True):
    """The diversity and the number of results."""

    enable_diversity: bool = True
    topic_diversity_threshold: Share | None = None
    """Share of topics in which a result must differ from earlier ones; defaults to DIVERSITY_THRESHOLD."""
    max_results: Annotated[int, Meta(ge=1, le=_MAX_RESULTS)] = 10


class PersonalizeBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /personalize; without candidates the catalogue is ranked, or the user's feed is returned as it is.

    The feed is returned if neither the context nor the diversity parameters say anything that it was not ranked by.
    """

    user_id: str
    candidates: list[CandidateBody] = []
    context: Values = None
    diversity_params: DiversityParams = DiversityParams()
    event_id: str | None = None

    @property
    def has_feed_terms(self) -> bool:
        """Return whether the stored feed is what is requested: nothing is to be ranked otherwise."""
        diversity = self.diversity_params
        is_plain = diversity.enable_diversity and diversity.topic_diversity_threshold is None
        return not self.candidates and is_plain and not texts(self.context)

    def record(self, now_ms: int, *, threshold: float) -> Trigger:
        """Return the trigger that requests the ranking; `threshold` is the default diversity threshold (0 to 1)."""
        asked_for = self.diversity_params.topic_diversity_threshold
        distance = threshold if asked_for is None else asked_for
        return Trigger(
            event_id=self.event_id or new_id(),
            user_id=self.user_id,
            kind="rerank",
            candidates=list(dict.fromkeys(one.id for one in self.candidates)),
            described=[one.record() for one in self.candidates],
            context=texts(self.context),
            topic_distance=distance if self.diversity_params.enable_diversity else 0.0,
            occurred_at=now_ms,
        )


class Recommendation(msgspec.Struct):
    """One result; `parts` sum to its score."""

    id: str
    title: str
    topics: list[str]
    source: str
    score: float
    reason: str
    algorithm: str
    """The feature group that contributed most to its rank."""
    parts: dict[str, float]


class PersonalizeResult(msgspec.Struct):
    """The recommendations for a user, best first."""

    user_id: str
    recommendations: list[Recommendation]
    count: int
    model: str
    generated_at: int
    event_id: str | None = None


class Preferences(msgspec.Struct):
    """A user's affinities as fractions of the strongest; negative values mean dislike."""

    categories: dict[str, float] = {}
    topics: dict[str, float] = {}
    sources: dict[str, float] = {}


class StatedProfile(msgspec.Struct):
    """A user's stated profile."""

    categories: list[str] = []
    topics: list[str] = []
    muted: list[str] = []  # wire
    timezone: str | None = None
    locale: str | None = None
    city: str | None = None
    attributes: dict[str, str] = {}


class ShownUserProfile(msgspec.Struct):
    """A user's stated and inferred profile. Times are in ms since the epoch."""

    user_id: str
    segment: str
    stated: StatedProfile  # wire
    preferences: Preferences
    hours: list[float]
    """Activity by hour of the day, UTC."""
    total_interactions: int
    interactions: dict[str, int]
    recent: list[RecentItem]
    searches: list[str]
    updated_at: int | None


class JudgedMetric(msgspec.Struct):
    """The validation metrics of a version, on events that it had not learned from."""

    version: str
    status: str
    evaluated_at: int
    events: int
    metrics: dict[str, float]


class Evaluation(msgspec.Struct):
    """Metrics of the version in service, of online learning since, of what was served, and of all versions."""

    offline: JudgedMetric | None
    online: LiveModel
    feed_metrics: ServedMetrics = msgspec.field(name="served")
    history: list[JudgedMetric]


class _Shown(msgspec.Struct, gc=False):
    title: str
    topics: list[str] = []
    source: str = ""


_personalize = msgspec.json.Decoder(PersonalizeBody)
_packer = msgspec.msgpack.Encoder()
_item_labels = msgspec.json.Decoder(_Shown)
_CANDIDATE = {
    "id": "article1",
    "title": "Machine Learning Trends",
    "content": "Latest trends in ML...",
    "topics": ["technology", "ai"],
    "source": "tech-news",
}
_PERSONALIZE = {
    "user_id": "alex",
    "candidates": [_CANDIDATE],
    "context": {"device_type": "mobile", "time_of_day": "morning"},
    "diversity_params": {"enable_diversity": True, "topic_diversity_threshold": 0.3, "max_results": 10},
}


def endpoints(context: ApiContext) -> Sequence[Endpoint]:
    """Return the endpoints of the personalization contract that the API itself does not have."""
    return _Personalization(context).endpoints()


class _Personalization:
    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        return [
            Endpoint(
                "POST",
                "/personalize",
                self.personalize,
                body=PersonalizeBody,
                example=_PERSONALIZE,
                answers={200: PersonalizeResult},
                errors=(*RANKED_ERRORS, NoFeedError),
            ),
            Endpoint(
                "GET",
                "/profile/{user_id}",
                self.profile,
                answers={200: ShownUserProfile},
                errors=(NoProfileError, StoreUnavailableError),
            ),
            Endpoint(
                "GET",
                "/evaluation/metrics",
                self.evaluation,
                scope="service",
                answers={200: Evaluation},
                errors=(StoreUnavailableError,),
            ),
        ]

    async def personalize(self, request: Request) -> Response:
        """Return the given items, ranked for a user; items unknown to the catalog are allowed.

        Without candidates, the items of the catalogue are ranked in the context.
        """
        metrics = self._context.metrics
        metrics.personalizations.inc()
        with metrics.personalization_duration.time():
            result = await self._personalized(request)
        metrics.active.add(result.user_id)
        metrics.recommendations.inc(result.count)
        return json_response(result)

    async def _personalized(self, request: Request) -> PersonalizeResult:
        context = self._context
        body = await parse_body(request, _personalize, context.settings.api_max_body_bytes)
        most = body.diversity_params.max_results
        if body.has_feed_terms:
            feed = await context.feed_of(validate_user_id(body.user_id))
            return self._shown(body.user_id, await context.serve_feed(feed, most), {})
        if body.candidates:
            check_count("candidates", body.candidates, context.settings.api_max_candidates)
        trigger = body.record(context.clients.now_ms(), threshold=context.settings.diversity_threshold)
        if len(_packer.encode(trigger)) > _TRIGGER_BYTES:
            raise TooLargeError(_TRIGGER_BYTES)
        feed = await ranked(context, trigger)
        candidates = {one.id: one for one in body.candidates}
        visible = await context.serve_reranked(feed, most)
        return self._shown(body.user_id, visible, candidates, event_id=trigger.event_id)

    async def profile(self, request: Request) -> Response:
        """Return a user's stated and inferred profile."""
        user_id = validate_user_id(request.path_params["user_id"])
        inferred_profile, stated_profile = await self._context.clients.user_profiles.read(user_id)
        if inferred_profile is None and stated_profile is None:
            raise NoProfileError(user_id)
        times = [inferred_profile.watermark] if inferred_profile is not None else []
        times += [stated_profile.occurred_at] if stated_profile is not None else []
        return json_response(
            ShownUserProfile(
                user_id=user_id,
                segment=stated_profile.segment if stated_profile is not None else "",
                stated=StatedProfile()
                if stated_profile is None
                else msgspec.convert(stated_profile, StatedProfile, from_attributes=True),
                preferences=Preferences()
                if inferred_profile is None
                else Preferences(
                    shares(inferred_profile.categories),
                    shares(inferred_profile.topics),
                    shares(inferred_profile.sources),
                ),
                hours=[] if inferred_profile is None else inferred_profile.hours,
                total_interactions=0 if inferred_profile is None else inferred_profile.event_count,
                interactions={} if inferred_profile is None else inferred_profile.counts,
                recent=[] if inferred_profile is None else inferred_profile.recent,
                searches=[] if inferred_profile is None else inferred_profile.queries,
                updated_at=max(times, default=0) or None,
            )
        )

    async def evaluation(self, request: Request) -> Response:
        """Return the metrics of the models."""
        model_status = await self._context.clients.model_status.read()
        history = [
            JudgedMetric(one.version, one.status, one.created_at, one.events, one.metrics)
            for one in model_status.versions
        ]
        serving = next((one for one in history if one.version == model_status.serving), None)
        feed_metrics = await self._context.served_metrics()
        return json_response(Evaluation(serving, model_status.live, feed_metrics, history))

    def _shown(
        self, user_id: str, visible: VisibleFeed, candidates: dict[str, CandidateBody], *, event_id: str | None = None
    ) -> PersonalizeResult:
        feed, recommendations = visible.feed, []
        for index, data in zip(visible.indices, visible.items, strict=True):
            item_id = feed.items[index]
            item: Any = candidates.get(item_id) or (_item_labels.decode(data) if data is not None else _Shown(title=""))
            recommendations.append(
                Recommendation(
                    id=item_id,
                    title=item.title,
                    topics=item.topics,
                    source=item.source,
                    score=feed.scores[index],
                    reason=feed.reasons[index],
                    algorithm=feed.sources[index],
                    parts=contributions(feed, index),
                )
            )
        return PersonalizeResult(
            user_id, recommendations, len(recommendations), feed.model, feed.generated_at, event_id
        )


def shares(sums: dict[str, float]) -> dict[str, float]:
    """Return affinities as shares of the strongest, in descending order."""
    by_name = shares_of_strongest(sums)
    return {name: round(by_name[name], 4) for name in sorted(sums, key=lambda name: (-sums[name], name))}
