"""Text encoders by their names in the setting TEXT_ENCODER; none of them needs fitting."""

from __future__ import annotations

from models.text.minilm import MiniLm
from models.text.subword import Subword
from models.text.tfidf import TextEncoder

ENCODERS: dict[str, type[TextEncoder]] = {"subwords": Subword, "minilm": MiniLm}
