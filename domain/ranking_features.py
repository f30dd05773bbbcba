"""Names of the ranking features, for settings that name some.

`docs/generate.py` writes the list from the features themselves, in `streams.core.ranking.stages.features`.
"""

RANKING_FEATURES = frozenset(
    (
        # <!-- ranking_features -->
        "affinity",
        "again",
        "cohort",
        "daily",
        "day",
        "embedding",
        "encoded",
        "far_heard",
        "far_taste",
        "followed",
        "fresh",
        "hour",
        "last",
        "last_heard",
        "lasting",
        "lately_0",
        "lately_1",
        "lately_2",
        "lately_3",
        "lately_6",
        "near",
        "near_heard",
        "near_last",
        "next",
        "next_heard",
        "popular",
        "prefetched",
        "rated",
        "segment",
        "situation",
        "slow",
        "soon",
        "taste",
        "taste_heard",
        "trending",
        "week",
        "weekday",
        "weekly",
        # <!-- /ranking_features -->
    )
)
