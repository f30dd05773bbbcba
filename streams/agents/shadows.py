"""Shadows: a sample of rankings is repeated under the arms of shadow experiments, and the lists are compared."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter

from schemas.types import Features, Feed, ShadowComparison
from streams.core.experiments.shadow_comparison import comparison
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import RankedFeed
from streams.runtime.arm_params import ArmParams, ExperimentParams

_LOG = logging.getLogger(__name__)


class ShadowRanker:
    """Compares lists right after their ranking, while the catalog snapshot and the weights are the same.

    Failures are counted, and the first is logged; the feed is the same as without them.
    """

    def __init__(self, catalog: CatalogSnapshot, experiments: ExperimentParams) -> None:
        """Create the ranker.

        Args:
            catalog: The catalog snapshot of the rankings.
            experiments: Samples rankings, and supplies the parameters of shadows.
        """
        self._catalog, self._experiments = catalog, experiments
        self.comparison_count = self.failure_count = 0

    def compare(
        self,
        features: Features,
        shown_feed: Feed,
        rank: Callable[[ArmParams], RankedFeed],
        *,
        at_ms: int,
        shown_ranking_ms: float,
    ) -> ShadowComparison | None:
        """Return how a shadow's list differs from the list shown; None if the ranking is not in the sample.

        Args:
            features: The features of the user.
            shown_feed: The feed that is shown.
            rank: Ranks the user under other parameters.
            at_ms: The time in the stream, in ms since the epoch.
            shown_ranking_ms: Duration of the ranking that is shown, in ms.
        """
        try:
            params = self._experiments.shadow_of(features, at_ms=at_ms)
            if params is None:
                return None
            began_s = perf_counter()
            feed = rank(ArmParams({}, params.rank, params.llm_blend)).feed
            ranking_ms = (perf_counter() - began_s) * 1_000
            shadow_comparison = comparison(
                feed,
                shown_feed,
                self._catalog,
                experiment_id=params.experiment_id,
                arm=params.arm,
                shown_ranking_ms=shown_ranking_ms,
                ranking_ms=ranking_ms,
            )
            self.comparison_count += 1
            return shadow_comparison
        except Exception:
            self.failure_count += 1
            if self.failure_count == 1:
                _LOG.exception("a shadow cannot be compared; failures in the heartbeat counts all of them")
            return None
