"""Results of experiments, as the archive role computes them from outcomes, or for shadows from comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.http.endpoint import Endpoint
from api.http.error import ApiError, StoreUnavailableError
from api.http.response import json_response
from domain.experiment_results import ExperimentResults


class NoResultsError(ApiError):
    """The experiment has no results: it is unknown, or has no outcomes or, as a shadow, no comparisons yet."""

    status, code = 404, "no_results"

    def __init__(self, experiment_id: str) -> None:
        super().__init__(
            f"the experiment {experiment_id!r} has no results: it is unknown, or has no outcomes or comparisons yet"
        )


class ExperimentResultsEndpoints:
    """The endpoint of the results of experiments."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "GET",
                "/ab/experiments/{experiment_id}/results",
                self.show,
                scope="service",
                answers={200: ExperimentResults},
                errors=(NoResultsError, StoreUnavailableError),
            )
        ]

    async def show(self, request: Request) -> Response:
        """Return the newest results of an experiment: figures by arm with intervals that hold whenever one looks.

        The arms of a shadow have the figures of its lists against those shown instead.
        """
        experiment_id = request.path_params["experiment_id"]
        results = await self._context.clients.experiment_results.read(experiment_id)
        if results is None:
            raise NoResultsError(experiment_id)
        return json_response(results)
