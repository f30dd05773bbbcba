"""LLM judge: the order in which feeds are judged, and the publication of their scores."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from infra import clock
from infra.erasure.erasure_index import ErasureIndex
from infra.kafka.publisher import Publisher, PublishError
from infra.llm import LlmError, Prompt
from infra.llm.client import Llm
from infra.llm.llm_error import TRANSIENT
from infra.redis.connection import StoreError
from infra.redis.stores.item_store import ItemStore
from infra.redis.stores.llm_score_store import LlmScoreStore
from infra.settings import Settings
from schemas.types import Features, Feed, LlmScores
from streams.core.ranking.llm_judge import (
    SYSTEM,
    VERSION,
    Interests,
    ItemSummary,
    JudgeRequest,
    Scores,
    interests,
    judge_request,
    parse_scores,
    question,
)
from topics.topic import LLM_SCORES

LOOK_BACK_MS = 600_000
"""Age up to which a feed is worth judging, in ms."""
_MAX_USERS = 20_000
_RETRY_S = 2.0
_TOKENS, _TOKENS_PER_ITEM = 100, 30
"""Limit of an answer: a base, and tokens per item, of which some 20 are used."""
_LOG = logging.getLogger(__name__)
_summaries = msgspec.json.Decoder(ItemSummary)


@dataclass(slots=True)
class _User:
    interests: Interests | None = None
    request: JudgeRequest | None = None
    """The newest feed that waits to be judged."""
    busy: bool = False
    due_s: float = 0.0
    """Earliest time of the next call to the model for this user, on the monotonic clock."""
    attempts: set[tuple[int, str]] = field(default_factory=set)
    """Feature versions and items already sent to the model, which may have left some out of its answer."""

    def take(self, now_s: float) -> tuple[Interests, JudgeRequest] | None:
        """Return interests and feed if a call is due and both have the same feature version, else None."""
        user_interests, feed = self.interests, self.request
        if (
            self.busy
            or now_s < self.due_s
            or user_interests is None
            or feed is None
            or user_interests.version != feed.version
        ):
            return None
        self.request, self.busy = None, True
        return user_interests, feed

    def put_back(self, feed: JudgeRequest) -> None:
        """Put a feed back to wait a little longer, unless there is a newer one."""
        self.request = self.request or feed
        self.due_s = max(self.due_s, time.monotonic() + _RETRY_S)


class LlmJudge:
    """Keeps the newest features and feed of each user, has feeds judged, and publishes the scores.

    Args:
        settings: The settings of the worker.
        publisher: Publishes the scores.
        llm: The language model.
        items: The item store.
        score_store: The store of the scores so far.
        erasures: The erased users, whose feeds are not judged.
    """

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        llm: Llm,
        items: ItemStore,
        score_store: LlmScoreStore,
        *,
        erasures: ErasureIndex,
    ) -> None:
        self._erasures = erasures
        self._settings, self._publisher, self._llm, self._items, self._score_store = (
            settings,
            publisher,
            llm,
            items,
            score_store,
        )
        self._users: dict[str, _User] = {}
        """By user id, the least recently updated first."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.published_count = self.skipped_feeds = 0

    def observe(self, value: Features | Feed) -> None:
        """Note a user's newest features or feed."""
        user = self._users[value.user_id] = self._users.pop(value.user_id, _User())
        if isinstance(value, Features):
            user.interests = interests(value)
        else:
            feed = judge_request(value, limit=self._settings.llm_score_items)
            user.request = feed if user.request is None else max(user.request, feed, key=lambda one: one.order)
        if len(self._users) > _MAX_USERS:
            self.skipped_feeds += self._users.pop(next(iter(self._users))).request is not None

    def forget(self, user_id: str) -> None:
        """Forget a user."""
        self._users.pop(user_id, None)

    def begin(self) -> None:
        """Start as many calls to the model as may run at once; skip feeds that are too old by now."""
        now_s, oldest_ms = time.monotonic(), clock.now_ms() - LOOK_BACK_MS
        for user_id, user in self._users.items():
            if user.request is not None and user.request.generated_at < oldest_ms:
                user.request = None
                self.skipped_feeds += 1
            if len(self._tasks) < self._settings.llm_concurrency and (work := user.take(now_s)) is not None:
                task = asyncio.ensure_future(self._judge(user_id, user, *work))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def cancel(self) -> None:
        """Cancel the calls in progress; the next owner of the partitions repeats them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def describe(self) -> dict[str, Any]:
        """Return the figures for the heartbeat."""
        return {
            "waiting": sum(user.request is not None for user in self._users.values()),
            "under_way": len(self._tasks),
            "published": self.published_count,
            "passed_over": self.skipped_feeds,
            **self._llm.describe(),
        }

    async def _judge(self, user_id: str, user: _User, user_interests: Interests, feed: JudgeRequest) -> None:
        """Have one feed judged; after a transient error it waits and is tried again."""
        try:
            await self._publish(user_id, user, user_interests, feed)
        except LlmError as error:
            _LOG.info("a feed was not scored: %s", error)
            if error.reason in TRANSIENT:
                user.put_back(feed)
        except (StoreError, PublishError) as error:
            _LOG.warning("a feed waits for its scores: %s", error)
            user.put_back(feed)
        except Exception:
            _LOG.exception("a feed cannot be scored")
        finally:
            user.busy = False

    async def _publish(self, user_id: str, user: _User, user_interests: Interests, feed: JudgeRequest) -> None:
        """Publish the scores for this feature version, unless the feed already includes them.

        The model is asked once per version: ranked again with its scores, the feed may begin with other items.
        """
        stored_scores = await self._score_store.read(user_id)
        if stored_scores is not None and stored_scores.features_version == feed.version:
            scores = dict(stored_scores.scores)
        else:
            missing = [item for item in feed.items if (feed.version, item) not in user.attempts]
            scores = await self._ask(user_id, user, user_interests, missing)
        if feed.has_scores(scores) or self._is_erased(user_id, feed):
            return
        llm_scores = LlmScores(
            user_id=user_id,
            features_version=feed.version,
            scores=scores,
            model=self._settings.llm_model,
            prompt_version=VERSION,
            scored_at=clock.now_ms(),
        )
        await self._publisher.publish(LLM_SCORES, [llm_scores])
        await self._score_store.write(llm_scores)
        if self._is_erased(user_id, feed):  # by now, and the scores may have come after the erasure of the others
            await self._score_store.delete(user_id)
        self.published_count += 1

    def _is_erased(self, user_id: str, feed: JudgeRequest) -> bool:
        """Return whether a user was erased after the last event behind a feed."""
        return self._erasures.covers(user_id.encode(), feed.version)

    async def _ask(self, user_id: str, user: _User, user_interests: Interests, missing: list[str]) -> dict[str, float]:
        """Ask the model about items and return their scores."""
        summaries = await self._summaries({*missing, *(item for item, _ in user_interests.recent)})
        missing = [item for item in missing if item in summaries]
        if not missing:
            return {}
        user.due_s = time.monotonic() + self._settings.llm_score_interval_s
        prompt = Prompt(
            system=SYSTEM,
            user=question(user_interests, summaries, missing),
            answer=Scores,
            purpose="score",
            version=VERSION,
            user_id=user_id,
            max_tokens=_TOKENS + _TOKENS_PER_ITEM * len(missing),
        )
        answer = await self._llm.ask(prompt)
        user.attempts = {(version, item) for version, item in user.attempts if version == user_interests.version}
        user.attempts |= {(user_interests.version, item) for item in missing}
        return parse_scores(answer.value, missing)

    async def _summaries(self, items: set[str]) -> dict[str, ItemSummary]:
        """Return the catalogue entries of items; unknown items are left out."""
        names = sorted(items)
        payloads = await self._items.read(names)
        return {name: _summaries.decode(data) for name, data in zip(names, payloads, strict=True) if data is not None}
