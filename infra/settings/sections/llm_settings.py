"""Settings of the language model: provider, limits, budgets, prices, and the scores of feeds."""

from __future__ import annotations

from dataclasses import dataclass

from infra.settings.setting import NOT_NEGATIVE, POSITIVE, one_of, secret, setting


@dataclass(frozen=True, kw_only=True)
class LlmSettings:
    """Language model."""

    anthropic_api_key: str = secret("key of Claude's API, for LLM_PROVIDER anthropic; empty: no language model is used")
    aws_access_key_id: str = secret("access key for Amazon Bedrock")
    aws_secret_access_key: str = secret("secret of the access key for Amazon Bedrock")
    aws_region: str = setting("us-east-1", "region of Amazon Bedrock")
    llm_provider: str = setting("anthropic", "provider of Claude: anthropic or bedrock", one_of("anthropic", "bedrock"))
    llm_base_url: str = setting("", "URL of the provider's API; empty: the provider's own")
    llm_model: str = setting("claude-haiku-4-5", "the provider's name of the language model")
    llm_timeout_s: float = setting(20.0, "maximum wait for one attempt, in seconds", POSITIVE)
    llm_deadline_s: float = setting(
        60.0, "maximum wait for an answer with all retries and pauses, in seconds", POSITIVE
    )
    llm_max_retries: int = setting(2, "maximum number of retries after 429, 5xx or no response", NOT_NEGATIVE)
    llm_concurrency: int = setting(8, "maximum number of concurrent questions, per process", POSITIVE)
    llm_breaker_failures: int = setting(
        5, "consecutive failures after which the circuit breaker blocks calls to the provider", POSITIVE
    )
    llm_breaker_cooldown_s: float = setting(30.0, "seconds until a blocked provider is tried again", POSITIVE)
    llm_answer_ttl_s: float = setting(86_400.0, "time for which answers are cached, in seconds", POSITIVE)
    llm_budget_usd: float = setting(5.0, "budget per day (UTC) in dollars", NOT_NEGATIVE)
    llm_budget_category_usd: float = setting(2.0, "budget per day for one category, in dollars", NOT_NEGATIVE)
    llm_budget_user_usd: float = setting(0.25, "budget per day for one user, in dollars", NOT_NEGATIVE)
    llm_price_input_usd: float = setting(1.0, "price of a million input tokens in dollars", NOT_NEGATIVE)
    llm_price_output_usd: float = setting(5.0, "price of a million output tokens in dollars", NOT_NEGATIVE)
    llm_price_cache_write_usd: float = setting(
        1.25, "price of a million tokens written to the provider's prompt cache, in dollars", NOT_NEGATIVE
    )
    llm_price_cache_read_usd: float = setting(
        0.1, "price of a million tokens read from the provider's prompt cache, in dollars", NOT_NEGATIVE
    )
    ml_score_weight: float = setting(
        0.6, "weight of the ranking's score when it is combined with the language model's", NOT_NEGATIVE
    )
    llm_score_weight: float = setting(0.4, "weight of the language model's score", NOT_NEGATIVE)
    llm_score_items: int = setting(20, "number of top items of a feed that the language model scores", POSITIVE)
    llm_score_interval_s: float = setting(
        60.0, "minimum time between two requests for a user's scores, in seconds", NOT_NEGATIVE
    )
    llm_scores_ttl_s: float = setting(
        3_600.0, "time for which the language model's scores are valid, in seconds", POSITIVE
    )
