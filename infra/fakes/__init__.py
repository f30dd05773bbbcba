"""Fakes of external services. They speak the real protocols, errors included, on the loopback address.

Tests and the demo run the production clients against them. All their answers are made up.
"""

from infra.settings import Settings

NAME = "simulated"
"""API key of the fake Claude and project id of the fake Firebase; the settings select the fakes by it."""
CLAUDE, FIREBASE = "Claude", "Firebase Cloud Messaging"


def fakes_in_use(settings: Settings) -> list[str]:
    """Return the names of the services that these settings replace by fakes."""
    is_fake = {CLAUDE: settings.anthropic_api_key == NAME, FIREBASE: f'"{NAME}"' in settings.fcm_service_account}
    return [service for service, fake in is_fake.items() if fake]
