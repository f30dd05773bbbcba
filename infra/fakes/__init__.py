"""Doubles of services that are not ours: they speak the real protocols on the loopback address, errors included.

Tests and the demo run the production clients against them. Whatever they answer is simulated.
"""

from infra.settings import Settings

NAME = "simulated"
"""Key of the double of Claude, and project of that of Firebase: by it they are known in settings."""
CLAUDE, FIREBASE = "Claude", "Firebase Cloud Messaging"


def simulated(settings: Settings) -> list[str]:
    """Return the services in whose place doubles are, by these settings."""
    doubles = {CLAUDE: settings.anthropic_api_key == NAME, FIREBASE: f'"{NAME}"' in settings.fcm_service_account}
    return [service for service, is_double in doubles.items() if is_double]
