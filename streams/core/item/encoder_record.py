"""Records of encoders: the vectors of items, and versions with the parameters that make the vectors of users."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as tensors

from models.encoders.encoder_kind import EncoderParametersError, user_encoder
from models.encoders.user_encoder import Arrays, EncoderExport, UserEncoder
from schemas.types import EncoderVector, EncoderVersion
from streams.core.item.embedding_record import STORED


def space_of(model: str, version: str) -> str:
    """Return the name of the vector space of a version.

    Args:
        model: Name of the network.
        version: The version.
    """
    return f"{model}/{version}"


def encoder_vectors(export: EncoderExport, version: str) -> Iterator[EncoderVector]:
    """Yield the record of each item of a network.

    Args:
        export: The network.
        version: Its version.
    """
    space = space_of(export.model, version)
    for item_id, vector in zip(export.items, export.vectors.astype(STORED), strict=True):
        yield EncoderVector(item_id=item_id, space=space, vector=vector.tobytes())


def packed_parameters(parameters: Arrays) -> bytes:
    """Return the parameters of a user encoder as safetensors."""
    return bytes(tensors.save({name: np.ascontiguousarray(array) for name, array in parameters.items()}))


def encoder_of(version: EncoderVersion) -> UserEncoder:
    """Return the user encoder of a version.

    Raises:
        EncoderParametersError: its parameters cannot be used.
    """
    try:
        parameters = tensors.load(version.parameters)
    except (SafetensorError, ValueError, KeyError) as error:
        raise EncoderParametersError(version.model, str(error)) from error
    return user_encoder(version.model, parameters)
