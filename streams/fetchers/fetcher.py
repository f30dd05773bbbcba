"""Fetcher: the prompt of a category, the user data sent with it, and whether its answers depend on the location."""

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
    """The definition of how one category is fetched."""

    category: str
    version: int
    """Version of the prompt, increased with every edit."""
    depends_on_location: bool
    """Whether the items are tied to a location, so that a user who has moved needs a new answer."""
    prompt_fields: tuple[PromptField, ...]
    """Prompt fields about the user, sent if the settings allow them: as few as needed."""
    instructions: str = ""
    """The category's part of the prompt; empty: the text file beside this module, named like the category."""

    @cached_property
    def prompt(self) -> str:
        """Return the system prompt, the same for all users: the rules of all fetchers, then those of the category."""
        return f"{_text(_RULES)}\n{self.instructions or _text(self.category)}"

    @property
    def prompt_version(self) -> str:
        """Return category, version and hash of the prompt."""
        digest = hashlib.sha256(self.prompt.encode()).hexdigest()[:_HASH_CHARS]
        return f"{self.category}/{self.version}-{digest}"


def _text(name: str) -> str:
    return (_FOLDER / f"{name}.txt").read_text()
