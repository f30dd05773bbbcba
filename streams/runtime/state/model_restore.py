"""Restoring the ranking model of a running process: of a worker, which serves it, or of the trainer."""

from __future__ import annotations

import logging

from infra.redis.stores.model_status import SERVING
from models.blend.blender import Blender
from schemas.types import ModelVersion
from streams.core.ranking.model_state import mismatch, restore_blender, unmatched_features

_LOG = logging.getLogger(__name__)


def restore_and_log(blender: Blender, version: ModelVersion) -> bool:
    """Load a version's weights into a blender; the log names features that only one has, or why no weight fits.

    Args:
        blender: The blender, which continues from the version.
        version: A version; a refused one, which never fits, is passed over in silence.

    Returns:
        Whether any weights were loaded.
    """
    if not restore_blender(blender, version):
        if version.status == SERVING:
            _LOG.warning("the weights of version %s are not used: %s", version.version, mismatch(blender, version))
        return False
    if difference := unmatched_features(blender, version):
        _LOG.warning("version %s was made for other features: %s", version.version, difference)
    return True
