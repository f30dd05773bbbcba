"""Check for a language model's API key."""

from __future__ import annotations

from infra.settings import Settings


def has_key(settings: Settings) -> bool:
    """Say whether there is a key for the configured provider."""
    if settings.llm_provider == "bedrock":
        return bool(settings.aws_access_key_id and settings.aws_secret_access_key)
    return bool(settings.anthropic_api_key)
