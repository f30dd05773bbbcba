"""Restoring a version of the ranking model: workers serve it, and the trainer continues from it."""

from __future__ import annotations

import numpy as np

from models.blend.blender import Blender
from schemas.types import ModelVersion
from streams.core.ranking.pipeline import MODEL


def restore(blender: Blender, version: ModelVersion) -> bool:
    """Load a version's weights into a blender; return False for a version with other features.

    Args:
        blender: The blender, which continues from the version.
        version: The version in service.
    """
    if version.model != MODEL or version.parts != list(blender.features) or len(version.weights) != blender.table.size:
        return False
    shape = blender.table.shape
    squares = version.squares if len(version.squares) == blender.table.size else [1.0] * blender.table.size
    scales = version.scales if len(version.scales) == len(blender.features) else [1.0] * len(blender.features)
    blender.restore(
        {
            "table": np.array(version.weights).reshape(shape),
            "squares": np.array(squares).reshape(shape),
            "scales": np.array(scales),
            "outcomes": np.array([float(blender.outcomes)]),
        }
    )
    return True
