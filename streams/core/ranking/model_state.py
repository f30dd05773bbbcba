"""Restoring a version of the ranking model: workers serve it, and the trainer continues from it."""

from __future__ import annotations

import numpy as np

from models.blend.blender import Blender, Weights
from schemas.types import ModelVersion
from streams.core.ranking.pipeline import MODEL


def restore_blender(blender: Blender, version: ModelVersion) -> bool:
    """Load a version's weights into a blender, feature by feature.

    A feature that the version does not name keeps the blender's weights, and features that only the version names are
    ignored. So a release that adds, removes or reorders features keeps the weights of the rest. See
    `unmatched_features`, and `mismatch` for versions of which nothing fits.

    Args:
        blender: The blender, which continues from the version.
        version: The version in service.

    Returns:
        Whether any weights were loaded.
    """
    if mismatch(blender, version):
        return False
    names, rows = version.parts, len(blender.table)
    state = blender.state()
    here = [number for number, name in enumerate(blender.features) if name in names]
    there = [names.index(blender.features[number]) for number in here]

    def _loaded(key: str, values: list[float], default: float) -> Weights:
        width = len(names) if state[key].ndim == 1 else rows * len(names)
        whole = np.array(values if len(values) == width else [default] * width).reshape(-1, len(names))
        array = state[key].reshape(-1, len(blender.features)).copy()
        array[:, here] = whole[:, there]
        return array.reshape(state[key].shape)

    blender.restore(
        {
            "table": _loaded("table", version.weights, 0.0),
            "squares": _loaded("squares", version.squares, 1.0),
            "scales": _loaded("scales", version.scales, 1.0),
            "leads": _loaded("leads", version.leads, 0.0),
            "lead_squares": _loaded("lead_squares", version.lead_squares, 0.0),
            "judged": np.array([version.judged]),
            "outcomes": state["outcomes"],
        }
    )
    return True


def mismatch(blender: Blender, version: ModelVersion) -> str:
    """Return the reason why no weight of a version can be loaded; empty where some can.

    Args:
        blender: The blender.
        version: A version of any model.
    """
    names, rows = version.parts, len(blender.table)
    if version.model != MODEL:
        return f"it is of the model {version.model}, and this one is {MODEL}"
    if len(version.weights) != rows * len(names):
        return f"it has {len(version.weights)} weights, not one for each of {len(names)} features in {rows} contexts"
    return "" if set(names) & set(blender.features) else "its features all have other names"


def unmatched_features(blender: Blender, version: ModelVersion) -> str:
    """Return a sentence for the log on the features that only one of them has; empty where there are none.

    Args:
        blender: The blender.
        version: A version of its model.
    """
    missing = sorted({*blender.features} - {*version.parts})
    unknown = sorted({*version.parts} - {*blender.features})
    sentences = [f"it has no weights for {', '.join(missing)}"] if missing else []
    return "; ".join([*sentences, f"its weights for {', '.join(unknown)} are not used"] if unknown else sentences)
