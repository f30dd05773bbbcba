"""Restoring the ranking model of a running process: of a worker, which serves it, or of the trainer."""

from __future__ import annotations

import logging

from models.blend.blender import Blender
from schemas.types import ModelVersion
from streams.core.ranking.model_state import restore_blender, unmatched_features

_LOG = logging.getLogger(__name__)


def restore_and_log(blender: Blender, version: ModelVersion) -> bool:
    """Load a version's weights into a blender; features that only one of them has are named in the log.

    Args:
        blender: The blender, which continues from the version.
        version: The version in service.

    Returns:
        Whether any weights were loaded.
    """
    is_restored = restore_blender(blender, version)
    if is_restored and (difference := unmatched_features(blender, version)):
        _LOG.warning("version %s was made for other features: %s", version.version, difference)
    return is_restored
