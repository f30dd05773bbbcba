"""What the model is asked for one well-known person, as text: `python -m tests.contract.llm.prompts` writes it anew.

A prompt that is edited must get another version, so that answers tell by which words they were asked for.
"""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import msgspec

from streams.core.triggers.prefetch_request import ContentLocation, PromptField, build_fetch_requests
from streams.core.user.user_state import UserState
from streams.fetchers import FETCHERS, Fetcher
from tests.build import NEW_YORK, a_trigger
from tests.params import PREFETCH_PARAMS

FOLDER = Path(__file__).with_name("prompts")
_EVENING_MS = 1_795_219_200_000
_ALEX = UserState(
    "alex",
    version=1,
    watermark=_EVENING_MS,
    preferred=["jazz", "hiking", "cooking"],
    queries=["pasta making"],
    recent=[("blue-note", 2.0, 1)],
    segment="25-34|m",
    muted=["karaoke"],
    timezone="America/New_York",
    about={"keywords": "trumpet", "travel_history": "Lisbon, Kyoto", "relationship_status": "single"},
)


def text(fetcher: Fetcher) -> str:
    """Return the question of one category: its version, what the model is always told, and what of the person."""
    [request] = build_fetch_requests(
        a_trigger(kind="time", reason="Friday evening", occurred_at=_EVENING_MS),
        _ALEX,
        ContentLocation(NEW_YORK, "New York"),
        [fetcher],
        title_of=lambda _: "Late Set at the Blue Note",
        params=replace(PREFETCH_PARAMS, prompt_fields=frozenset(get_args(PromptField))),
    )
    about = msgspec.json.format(request.about)
    return f"{fetcher.prompt_version}\n\n{fetcher.prompt}\n{about}\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for category, fetcher in FETCHERS.items():
        (FOLDER / f"{category}.txt").write_text(text(fetcher))
