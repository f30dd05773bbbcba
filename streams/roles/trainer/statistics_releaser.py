"""Releases the private statistics of items once a day: features → item stats.

What a release spends is on the privacy ledger before any of it is published. All trainers that release the statistics
of one day spend under one name, which counts once, and publish the same numbers, since the noise follows from its key;
one that is killed is continued by the next one, which leaves what is published as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import islice

from aiokafka.errors import KafkaError

from domain.timestamp import DAY_MS, MINUTE_MS, utc_time
from infra import clock
from infra.error import OperatorError
from infra.privacy.privacy_budget import OverBudgetError
from infra.privacy.privacy_ledger import LEDGER, PrivacyLedger
from schemas.types import ItemStats, PrivacySpending
from streams.core.item import private_stats
from streams.core.item.user_choices import UserChoices
from streams.core.params import PrivateStatsParams
from streams.runtime.core_params import signal_params
from streams.runtime.role import Role
from topics.topic import FEATURES, ITEM_STATS, ITEMS

_GRACE_MS = MINUTE_MS
"""Time after midnight (UTC) by which all events of the day before are appended."""
_LOOK_EVERY_S = 10.0
_RECORDS_AT_A_TIME = 200
_LOG = logging.getLogger(__name__)


class StatisticsReleaser:
    """Releases statistics of items.

    Args:
        role: The running role.
        params: The guarantee of a day's statistics.
        now_ms: The clock, in ms since the epoch.
    """

    def __init__(self, role: Role, params: PrivateStatsParams, *, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._role, self._params, self._now_ms = role, params, now_ms
        self._ledger = PrivacyLedger(role.settings, role.registry)
        self._day = 0
        """The last day whose statistics are released or refused, in days since the epoch."""

    async def run(self) -> None:
        """Release the statistics of each day as it begins, until cancelled.

        Raises:
            PublishError: statistics were not written.
        """
        while True:
            day = (self._now_ms() - _GRACE_MS) // DAY_MS
            if day > self._day:
                try:
                    await self.release(day * DAY_MS)
                except OverBudgetError as error:
                    _LOG.warning("the statistics of items stay those of an earlier day: %s", error)
                    self._day = day
                except (OperatorError, KafkaError) as error:
                    _LOG.warning("the statistics of items wait: %s", error)
                else:
                    self._day = day
            await asyncio.sleep(_LOOK_EVERY_S)

    async def release(self, at_ms: int) -> None:
        """Release the statistics as of a time, as far as they are not released yet.

        Args:
            at_ms: The time, in ms since the epoch.

        Raises:
            OverBudgetError: too little of the day's privacy budget is left; nothing is released.
            OperatorError: the brokers do not answer.
            KafkaError: the same.
            PublishError: statistics were not written.
        """
        async with self._role.history(ITEM_STATS) as history:
            earlier: dict[str, ItemStats] = {name: stats for name, (_, stats) in (await history.newest()).items()}
        async with self._role.history(ITEMS) as history:
            catalogue = [name for name, (_, item) in (await history.newest()).items() if not item.private]
        is_due = {name: not _is_released(earlier.get(name), at_ms) for name in {*catalogue, *earlier}}
        if not any(is_due.values()):
            return
        choices = await self._choices(at_ms)
        await self._ledger.spend(self._role.publisher, self._spending(at_ms))
        item_ids = sorted(name for name, due in is_due.items() if due)
        rows = private_stats.release(
            choices,
            item_ids,
            earlier,
            at_ms=at_ms,
            params=self._params,
            signal=signal_params(self._role.settings),
        )
        while batch := await asyncio.to_thread(list, islice(rows, _RECORDS_AT_A_TIME)):
            for stats in batch:
                self._role.publisher.produce(ITEM_STATS, stats)
            await self._role.publisher.wait_for_capacity()
        await self._role.publisher.flush()
        _LOG.info("the statistics of %d items are released, with the choices of %d users", len(item_ids), len(choices))

    async def _choices(self, at_ms: int) -> UserChoices:
        """Return the choices of all users before a time."""
        choices = UserChoices()
        async with self._role.history(FEATURES) as history:
            async for record, features in history.records():
                if record.timestamp >= at_ms:
                    continue
                if features is None:
                    choices.forget((record.key or b"").decode(errors="replace"))
                else:
                    recent = ((one.item_id, one.weight, one.at) for one in features.recent)
                    choices.put(
                        features.user_id,
                        recent,
                        seen_items=features.seen,
                        event_count=features.event_count,
                        segment=features.segment,
                    )
        return choices

    def _spending(self, at_ms: int) -> PrivacySpending:
        """Return the spending of a day's release, under the name of the day."""
        name, settings = f"item statistics of {utc_time(at_ms):%Y-%m-%d}", self._role.settings
        return PrivacySpending(
            ledger=LEDGER,
            spending_id=name,
            principal=self._role.name,
            release=name,
            mechanism=private_stats.MECHANISM,
            epsilon=self._params.epsilon,
            delta=self._params.delta,
            budget_epsilon=settings.privacy_epsilon,
            budget_delta=settings.privacy_delta,
            occurred_at=self._now_ms(),
        )


def _is_released(stats: ItemStats | None, at_ms: int) -> bool:
    return stats is not None and stats.releases > 0 and stats.watermark >= at_ms
