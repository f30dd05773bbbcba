"""The address of the API."""

from __future__ import annotations

from infra.settings import Settings


def api_url(settings: Settings) -> str:
    """Return the URL of the API, as seen from this machine."""
    host = "127.0.0.1" if settings.api_host == "0.0.0.0" else settings.api_host  # noqa: S104 - a comparison
    return f"http://{host}:{settings.api_port}"
