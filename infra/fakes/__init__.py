"""Fakes of external services. They speak the real protocols, errors included, on the loopback address.

Tests and the demo run the production clients against them. All their answers are simulated.
"""

from infra.settings import Settings

NAME = "simulated"
"""API key of the fake Claude and project id of the fake Firebase; the settings select the fakes by it."""
CLAUDE, FIREBASE = "Claude", "Firebase Cloud Messaging"


def simulated(settings: Settings) -> list[str]:
    """Return the names of the services that these settings replace by fakes."""
    doubles = {CLAUDE: settings.anthropic_api_key == NAME, FIREBASE: f'"{NAME}"' in settings.fcm_service_account}
    return [service for service, is_double in doubles.items() if is_double]
