"""A fetcher is data: what is asked, what of the user is told with it, and whether the answer holds at a place only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from streams.core.triggers.prefetch_request import PromptField

_FOLDER = Path(__file__).parent
_RULES = "rules"
_HASH_CHARS = 8


@dataclass(frozen=True)
class Fetcher:
    """How one category is fetched."""

    category: str
    version: int
    """Raised whenever the prompt is edited."""
    placed: bool
    """Whether what is found is somewhere, so that who has moved must be answered anew."""
    facts: tuple[PromptField, ...]
    """What of the user the model is told, where the settings allow it: as little as serves."""

    @cached_property
    def prompt(self) -> str:
        """Return what the model is told whoever is asked for: the rules of all fetchers, then our own."""
        return "\n".join((_FOLDER / f"{name}.txt").read_text() for name in (_RULES, self.category))

    @property
    def prompt_version(self) -> str:
        """Return name, version and hash of the prompt."""
        digest = hashlib.sha256(self.prompt.encode()).hexdigest()[:_HASH_CHARS]
        return f"{self.category}/{self.version}-{digest}"
