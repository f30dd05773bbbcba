"""Settings of privacy: the budget of releases, the smallest groups, and pseudonyms of exports."""

from __future__ import annotations

from dataclasses import dataclass

from infra.settings.setting import NOT_NEGATIVE, POSITIVE, Constraint, between, secret, setting


@dataclass(frozen=True, kw_only=True)
class PrivacySettings:
    """Privacy."""

    privacy_epsilon: float = setting(
        1.0, "epsilon that all private releases of a day (UTC) may spend together", POSITIVE
    )
    privacy_delta: float = setting(
        1e-5,
        "delta that all private releases of a day (UTC) may spend together",
        Constraint(lambda delta: 0 < delta < 1, "in (0, 1)"),
    )
    privacy_k: int = setting(
        10, "smallest number of users of a group in private releases and pseudonymous exports", between(1, 1_000_000)
    )
    private_statistics_epsilon: float = setting(
        0.0,
        "epsilon that the statistics of items which rank are released under, once a day; 0: they are exact",
        NOT_NEGATIVE,
    )
    private_statistics_key: str = secret(
        "key of the noise in private statistics; empty: a public one in development, and elsewhere none are released",
        Constraint(lambda key: len(key) >= 32, "32 characters or more"),
    )
    export_pseudonyms: bool = setting(False, "whether exports are pseudonymous unless --exact says otherwise")
    pseudonym_key: str = secret(
        "key of the pseudonyms in exports; empty: a public one in development, and elsewhere no pseudonyms are made",
        Constraint(lambda key: len(key) >= 32, "32 characters or more"),
    )
    pseudonym_days: int = setting(30, "days after which users get other pseudonyms", between(1, 3_650))
