"""Settings of the catalog: collection from the external API, and search."""

from __future__ import annotations

from dataclasses import dataclass

from infra.settings.setting import NOT_NEGATIVE, POSITIVE, one_of, secret, setting


@dataclass(frozen=True, kw_only=True)
class CatalogSettings:
    """Catalog."""

    api_base_url: str = setting(
        "https://api.socialverseapp.com", "URL of the external API that videos are collected from"
    )
    flic_token: str = secret(
        "token of the external API, also required from callers of the collection endpoints; empty: these are disabled"
    )
    collect_requests_per_s: float = setting(2.0, "maximum number of requests per second to the external API", POSITIVE)
    collect_timeout_s: float = setting(30.0, "maximum wait for a page of the external API, in seconds", POSITIVE)
    collect_query: str = setting("", "additional query parameters for the external API, as name=value&name=value")
    collect_interval_s: float = setting(
        0.0, "seconds between collections of all lists; 0: only on request", NOT_NEGATIVE
    )
    text_encoder: str = setting(
        "subwords",
        "encoder of texts for the catalog search: subwords, or minilm with the extra `text`",
        one_of("subwords", "minilm"),
    )
