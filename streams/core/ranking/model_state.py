"""Taking over a version of the model: workers serve it, and the trainer goes on from it."""

from __future__ import annotations

import numpy as np

from models.blend.blender import Blender
from schemas.types import ModelVersion
from streams.core.ranking.pipeline import MODEL


def restore(blender: Blender, told: ModelVersion) -> bool:
    """Have a blender go on from a version in service; return False for one that weighs other parts."""
    if told.model != MODEL or told.parts != list(blender.features) or len(told.weights) != blender.table.size:
        return False
    shape = blender.table.shape
    squares = told.squares if len(told.squares) == blender.table.size else [1.0] * blender.table.size
    scales = told.scales if len(told.scales) == len(blender.features) else [1.0] * len(blender.features)
    blender.restore(
        {
            "table": np.array(told.weights).reshape(shape),
            "squares": np.array(squares).reshape(shape),
            "scales": np.array(scales),
            "outcomes": np.array([float(blender.outcomes)]),
        }
    )
    return True
