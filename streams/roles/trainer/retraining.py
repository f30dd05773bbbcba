"""Retraining: full fits beside online learning, started when due or requested, evaluated, then promoted or refused."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from domain.timestamp import version_name
from infra import clock
from infra.error import OperatorError
from infra.kafka.publisher import Publisher
from infra.redis.stores.model_status import (
    REFUSED,
    SERVING,
    LiveModel,
    ModelStatus,
    Training,
    Version,
    with_current_status,
)
from schemas.types import ModelVersion
from streams.core.learning.learner import Learner
from streams.core.learning.visits import Positions
from streams.core.position import Position
from streams.core.ranking.pipeline import MODEL
from streams.roles.trainer.artifact_store import ArtifactStore
from streams.roles.trainer.candidate_fit import CandidateFit, IncumbentModel
from streams.roles.trainer.learner_params import learner_params
from streams.roles.trainer.model_version import FittedVersion, fitted_version, item_weight_rows, record_of
from streams.roles.trainer.online_learner import Message, Offsets, OnlineLearner
from streams.roles.trainer.retrain_schedule import DueFit, FitSchedule
from streams.runtime.role import Role
from streams.runtime.topic_history import TopicHistory
from topics.topic import INTERACTIONS, ITEM_WEIGHTS, ITEMS, MODEL_VERSIONS, PROFILES, Topic

_ROWS_AT_A_TIME = 20
_OWN = 100
_RETRY_MS = 60_000
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """A request for a full fit."""

    event_id: str
    reason: str = ""


class RetrainScheduler:
    """Runs full fits, one at a time, and stores their versions."""

    def __init__(self, role: Role, artifacts: ArtifactStore) -> None:
        self._role, self._settings, self._publisher = role, role.settings, role.publisher
        self._artifacts = artifacts
        self.live = self._new_live()
        """The learner between fits."""
        self.interactions = 0
        """Number of interactions in their topic, by its newest offsets."""
        self.fitted_offsets: list[int] = []
        """The end of each of their partitions at the last fit."""
        self._schedule = FitSchedule(self._settings.model_fit_interval_s, self._settings.model_full_fit_interval_s)
        self._versions = artifacts.versions()
        self._requests: dict[str, RetrainRequest] = {}
        self._training = Training()
        self._task: asyncio.Task[None] | None = None
        self._pending_messages: list[Message] | None = None
        self._offsets: dict[str, list[int]] = {}
        """The offsets of the first messages after the fit in progress began, by topic."""
        self._own: deque[tuple[str, int]] = deque(maxlen=_OWN)
        self._started_at = self._not_before = clock.now_ms()
        self._published_at: int | None = None
        self.published_items: set[str] = set()
        """Items whose weights are on the topic item-weights."""

    def request_fit(self, request: RetrainRequest) -> None:
        """Note a request for a fit, unless a version already answers it."""
        if not any(request.event_id in version.request_ids for version in self._versions):
            self._requests[request.event_id] = request

    @property
    def new_interactions(self) -> int:
        """Return the number of interactions since the last fit."""
        return max(self.interactions - sum(self.fitted_offsets), 0)

    def buffer(self, message: Message) -> None:
        """Note a message that arrives during a fit."""
        if self._pending_messages is not None:
            self._pending_messages.append(message)

    def mark_own(self, model_version: ModelVersion) -> ModelVersion:
        """Note that this trainer publishes a version, and return it."""
        self._own.append((model_version.version, model_version.created_at))
        self._published_at = model_version.created_at
        return model_version

    def is_own(self, model_version: ModelVersion) -> bool:
        """Return whether this trainer published a version."""
        return (model_version.version, model_version.created_at) in self._own

    def begin_if_due(self, now_ms: int, offsets: Offsets) -> None:
        """Start a fit if one is requested or due.

        Args:
            now_ms: The time in ms since the epoch.
            offsets: The offsets of the next messages, by topic.
        """
        if self._task is not None:
            if not self._task.done():
                return
            self._task = None
        if self._requests:
            requests, self._requests = list(self._requests.values()), {}
            self._begin(requests, offsets, why=requests[0].reason or "asked for", full=True, now_ms=now_ms)
            return
        due = self._next_fit()
        if due is not None and now_ms >= max(due.at_ms, self._not_before):
            self._begin([], offsets, why="due: to all events" if due.full else "due", full=due.full, now_ms=now_ms)

    async def cancel(self) -> None:
        """Cancel the fit in progress."""
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def status(self, now_ms: int) -> ModelStatus:
        """Return the status of the model: versions, online learning, fit in progress and next fit."""
        live, base, due = self.live, self.live.base, self._next_fit()
        serving = None if base is None else base.version
        return ModelStatus(
            model=MODEL,
            written_at=now_ms,
            serving=serving,
            versions=[with_current_status(version, serving) for version in self._versions],
            live=LiveModel(
                version=live.version,
                events=self.interactions,
                outcomes=live.outcomes,
                watermark=live.watermark,
                published_at=self._published_at,
            ),
            training=self._training,
            last_fit_at=self._versions[0].created_at if self._versions else None,
            next_fit_at=None if due is None else max(due.at_ms, self._not_before),
        )

    def _next_fit(self) -> DueFit | None:
        return self._schedule.next(self._versions, new_events=self.new_interactions, started_at=self._started_at)

    def _new_live(self) -> OnlineLearner:
        return OnlineLearner(most_users=self._settings.trainer_users)

    def _begin(self, requests: list[RetrainRequest], offsets: Offsets, *, why: str, full: bool, now_ms: int) -> None:
        ids = [request.event_id for request in requests]
        self._pending_messages, self._offsets = [], dict(offsets)
        self._training = Training(state="fitting", why=why, request_ids=ids, started_at=now_ms)
        self._task = asyncio.ensure_future(self._run(ids, full=full))

    async def _run(self, request_ids: list[str], *, full: bool) -> None:
        """Run a fit; a failure is logged and retried later, while online learning continues."""
        try:
            await self._fit(request_ids, full=full)
        except asyncio.CancelledError:
            _LOG.warning("the fit was cancelled")
            raise
        except Exception:
            _LOG.exception("the fit failed")
        finally:
            self._pending_messages = None
            self._training = Training()
            self._not_before = clock.now_ms() + _RETRY_MS

    async def _fit(self, request_ids: list[str], *, full: bool) -> None:
        catalogue = {item.item_id: item for _, item in await self._newest(ITEMS)}
        profiles = await self._newest(PROFILES)
        serving = await self._serving()
        async with self._role.history(INTERACTIONS) as events:
            fit = CandidateFit(
                learner_params(self._settings),
                catalogue,
                profiles,
                total=events.total,
                serving=serving,
                weight_events=None if full else self._settings.model_fit_events,
            )
            await self._replay(fit, events)
            self.fitted_offsets = [events.ends[tp] for tp in sorted(events.ends)]
        # In a thread of its own: a fit takes minutes, and the heartbeat needs the event loop.
        learner = await asyncio.to_thread(fit.end)
        decision = fit.verdict(tolerance=self._settings.model_promotion_tolerance)
        now_ms = clock.now_ms()
        version = Version(
            version=version_name(now_ms),
            status=decision.status,
            reason=decision.reason,
            created_at=now_ms,
            watermark=learner.catalog.watermark,
            events=learner.events,
            metrics=dict(decision.metrics),
            full=full,
            request_ids=request_ids,
        )
        _LOG.log(
            logging.WARNING if decision.status == REFUSED else logging.INFO,
            "version %s is %s: %s", version.version, decision.status, decision.reason
        )  # fmt: skip
        offsets = self._offsets | {INTERACTIONS.name: self.fitted_offsets}
        await self._store_version(fitted_version(version, learner, offsets=offsets), learner, fit.positions)

    async def _serving(self) -> IncumbentModel | None:
        """Return the version in service as fitted; without its file, the current weights with all online learning."""
        live, blender = self.live, self.live.weights.blender
        if live.base is None:
            return None
        try:
            fitted_version = await asyncio.to_thread(self._artifacts.get, live.base.version)
        except OperatorError:
            return IncumbentModel(blender.state(), live.watermark)
        if fitted_version.feature_names != list(blender.features):
            return None
        return IncumbentModel(
            fitted_version.blender, fitted_version.version.watermark, fitted_version.version.metrics.get("ndcg@10")
        )

    async def _replay(self, fit: CandidateFit, events: TopicHistory) -> None:
        batch: list[tuple[Position, Any]] = []
        async for pair in events.merged():
            batch.append(pair)
            if len(batch) == self._settings.trainer_batch_events:
                await asyncio.to_thread(_learn, fit, batch)
                self._training = msgspec.structs.replace(self._training, learned=fit.learned_count, total=fit.total)
                batch = []
        await asyncio.to_thread(_learn, fit, batch)

    async def _store_version(self, fitted_version: FittedVersion, learner: Learner, positions: Positions) -> None:
        """Store a version; if it may serve, publish it and continue online from it."""
        version, base = fitted_version.version, self.live.base
        serving = version.version if version.status == SERVING else None if base is None else base.version
        await asyncio.to_thread(self._artifacts.put, fitted_version, serving=serving)
        if version.status == SERVING:
            self.published_items = await publish_item_weights(
                self._publisher, fitted_version, self.published_items, omissions=self.live.omissions
            )
        self._publisher.produce(MODEL_VERSIONS, self.mark_own(record_of(fitted_version)))
        await self._publisher.flush()
        if version.status == SERVING:
            successor = self._new_live()
            successor.promote(version, learner.weights, learner.repeats, positions)
            await self._catch_up(successor)
            successor.omissions, self.live = self.live.omissions, successor
        self._versions = [version, *self._versions]
        del self._versions[self._settings.model_artifacts_kept :]

    async def _catch_up(self, successor: OnlineLearner) -> None:
        """Apply the messages that arrived during the fit; none is left, and none arrives before the next await."""
        number = 0
        while self._pending_messages:
            waiting, self._pending_messages = self._pending_messages, []
            for message in waiting:
                try:
                    successor.apply(message)
                except Exception:
                    _LOG.exception("the fit skips a %s", type(message).__name__)
                number += 1
                if number % self._settings.trainer_batch_events == 0:
                    await asyncio.sleep(0)

    async def _newest(self, topic: Topic) -> list[tuple[Position, Any]]:
        async with self._role.history(topic) as history:
            return list((await history.newest()).values())


def _learn(fit: CandidateFit, batch: list[tuple[Position, Any]]) -> None:
    for position, event in batch:
        try:
            fit.learn(event, position)
        except Exception:
            _LOG.exception("the fit skips the event %s", event.event_id)


async def publish_item_weights(
    publisher: Publisher,
    fitted_version: FittedVersion,
    published_items: set[str],
    *,
    omissions: Counter[str] | None = None,
) -> set[str]:
    """Publish the item weights of a version, and delete the weights of all other items.

    Args:
        publisher: Publishes the weights.
        fitted_version: The version.
        published_items: Ids of the items whose weights are on the topic.
        omissions: Counts the weights left out of records for lack of space.

    Returns:
        The ids of the items whose weights are on the topic now.
    """
    for number, row in enumerate(item_weight_rows(fitted_version, omissions=omissions), 1):
        publisher.produce(ITEM_WEIGHTS, row)
        if number % _ROWS_AT_A_TIME == 0:
            await publisher.wait_for_capacity()
            await asyncio.sleep(0)
    for item_id in sorted(published_items - set(fitted_version.items)):
        publisher.produce_bytes(ITEM_WEIGHTS, item_id.encode(), None)
    await publisher.flush()
    return set(fitted_version.items)
