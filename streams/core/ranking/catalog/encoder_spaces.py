"""Encoder spaces: vectors of items by version of the network, and the version in service.

The vectors of a new version arrive one by one beside those in service. Users are served by the new ones once all of
them and the record of the version have come, in any order. So vectors of two versions never meet, and a worker that
starts while a publication is incomplete serves none.
"""

from __future__ import annotations

import numpy as np

from models.encoders.encoded_items import EncodedItems
from models.encoders.user_encoder import EncoderExport, UserEncoder
from models.growth import padded
from models.vocabulary import Vocabulary
from schemas.types import EncoderVector, EncoderVersion
from streams.core.item.embedding_record import STORED
from streams.core.item.encoder_record import encoder_of, space_of

NO_ENCODER = "none"
_SPACES = 2
"""Spaces that are collected at a time, the newest ones."""
_SERVING = "serving"


class EncoderSpaces:
    """The items that a network has encoded, as versions of it arrive.

    Args:
        model: Name of the network; records of others are ignored.
    """

    def __init__(self, model: str = NO_ENCODER) -> None:
        self._model = model
        self._spaces: dict[str, _Space] = {}
        """Vectors of versions that do not serve yet."""
        self._waiting: tuple[EncoderVersion, UserEncoder] | None = None
        """The newest version, until its vectors are complete."""
        self.version = ""
        """The version in service; empty for none."""
        self.items: EncodedItems | None = None
        """The items of the version in service."""

    def put(self, item: int, record: EncoderVector) -> None:
        """Take over the vector of an item.

        Args:
            item: Number of the item.
            record: The vector.

        Raises:
            ValueError: it has another length than others of its space.
        """
        space_name = record.space
        if not space_name.startswith(space_of(self._model, "")) or space_name == space_of(self._model, self.version):
            return
        space = self._spaces.get(space_name)
        if space is None:
            if len(self._spaces) >= _SPACES:
                oldest = min(self._spaces)
                if space_name < oldest:
                    return
                del self._spaces[oldest]
            space = self._spaces[space_name] = _Space(len(record.vector) // STORED.itemsize)
        space.put(item, np.frombuffer(record.vector, STORED))
        self._serve_if_complete()

    def take_version(self, version: EncoderVersion) -> None:
        """Serve a version as soon as its vectors are complete; a refused one, or one of another network, is ignored.

        Raises:
            EncoderParametersError: its parameters cannot be used.
        """
        if version.model == self._model and version.status == _SERVING:
            self._waiting = version, encoder_of(version)
            self._serve_if_complete()

    def serve(self, export: EncoderExport, names: Vocabulary) -> None:
        """Serve a network that is learned in the same process.

        Args:
            export: The network.
            names: The ids of items by number.
        """
        self.items = EncodedItems.of(export, names)

    def _serve_if_complete(self) -> None:
        if self._waiting is None:
            return
        version, encoder = self._waiting
        name = space_of(version.model, version.version)
        space = self._spaces.get(name)
        if space is None or space.count < version.items:
            return
        self._waiting, self.version = None, version.version
        self._spaces = {other: vectors for other, vectors in self._spaces.items() if other > name}
        self.items = EncodedItems(encoder, space.rows, space.has_vector)


class _Space:
    """Vectors of one version by the numbers of the items."""

    def __init__(self, width: int) -> None:
        self.rows, self.has_vector = np.zeros((0, width), STORED), np.zeros(0, bool)
        self.count = 0

    def put(self, item: int, vector: np.ndarray[tuple[int], np.dtype[np.float16]]) -> None:
        """Set the vector of an item.

        Args:
            item: Number of the item.
            vector: (width,) its vector.
        """
        if item >= len(self.rows):
            room = item * 3 // 2 + 64
            self.rows, self.has_vector = padded(self.rows, room), padded(self.has_vector, room)
        self.rows[item] = vector
        self.count += not self.has_vector[item]
        self.has_vector[item] = True
