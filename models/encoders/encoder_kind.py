"""Kinds of user encoders, by the names of their networks."""

from __future__ import annotations

from collections.abc import Mapping

from models.encoders.deep_encoder import DeepEncoder
from models.encoders.folded_encoder import GraphEncoder, MeanEncoder
from models.encoders.sequence_encoder import SequenceEncoder
from models.encoders.user_encoder import Arrays, UserEncoder

ENCODER_KINDS: Mapping[str, type[SequenceEncoder | DeepEncoder | GraphEncoder | MeanEncoder]] = {
    "sequence": SequenceEncoder,
    "deep": DeepEncoder,
    "lightgcn": GraphEncoder,
    "dot-product": MeanEncoder,
}


class EncoderParametersError(ValueError):
    """Parameters that no user encoder can be made of."""

    def __init__(self, model: str, problem: str) -> None:
        self.model, self.problem = model, problem
        super().__init__(f"the parameters of {model} cannot be used: {problem}")


def user_encoder(model: str, parameters: Arrays) -> UserEncoder:
    """Return the user encoder of a network.

    Args:
        model: Name of the network.
        parameters: The parameters of the encoder.

    Raises:
        EncoderParametersError: the network is unknown, or a parameter is missing.
    """
    kind = ENCODER_KINDS.get(model)
    if kind is None:
        raise EncoderParametersError(model, "there is no such network")
    try:
        return kind(parameters)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise EncoderParametersError(model, f"{type(error).__name__}: {error}") from error
