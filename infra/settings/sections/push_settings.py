"""Settings of push notifications, and of FCM, which sends them."""

from __future__ import annotations

from dataclasses import dataclass

from infra.settings.setting import NOT_NEGATIVE, POSITIVE, secret, setting


@dataclass(frozen=True, kw_only=True)
class PushSettings:
    """Push notifications."""

    push_value_threshold: float = setting(
        1.25,
        "how far a new item must stand out in a feed for a push, in units of the usual lead in that user's feeds",
        NOT_NEGATIVE,
    )
    push_item_max_age_hours: float = setting(48.0, "maximum age of a new item in hours", POSITIVE)
    push_daily_cap: int = setting(3, "maximum number of pushes to a user in 24 hours", POSITIVE)
    push_max_delay_hours: float = setting(
        12.0, "maximum time for which a push waits for the end of quiet hours or for acceptance, in hours", POSITIVE
    )
    fcm_service_account: str = secret("key of a service account as JSON; empty: pushes are decided but not sent")
    fcm_base_url: str = setting("", "URL of FCM's HTTP v1 API; empty: Google's own")
    fcm_timeout_s: float = setting(10.0, "maximum wait for FCM, in seconds", POSITIVE)
    fcm_concurrency: int = setting(8, "maximum number of concurrent pushes, per process", POSITIVE)
