"""Error responses of experiments."""

from __future__ import annotations

from api.http.error import ApiError


class NoExperimentError(ApiError):
    """There is no such experiment."""

    status, code = 404, "unknown_experiment"

    def __init__(self, experiment_id: str) -> None:
        super().__init__(f"there is no experiment {experiment_id!r}")


class ExperimentConflictError(ApiError):
    """The status of the experiment, or another experiment of its layer, does not allow the change."""

    status, code = 409, "experiment_conflict"


class UnknownParameterError(ApiError):
    """The arm of an experiment sets a parameter that is none; the message names those that there are."""

    status, code = 422, "unknown_parameter"
