"""External API contracts, one module or two each, mapped to the same topics and read models."""

from collections.abc import Callable, Sequence

from api.compat import collect, context_iq, context_iq_recommendations, experiments, personalization, shop, video
from api.compat.experiment_results import ExperimentResultsEndpoints
from api.context import ApiContext
from api.http.endpoint import Endpoint

EndpointGroup = Callable[[ApiContext], Sequence[Endpoint]]
"""Declares endpoints over the context of an app."""
COMPAT_ENDPOINTS: tuple[EndpointGroup, ...] = (
    lambda context: ExperimentResultsEndpoints(context).endpoints(),
    personalization.endpoints,
    lambda context: experiments.ExperimentEndpoints(context).endpoints(),
    shop.endpoints,
    lambda context: video.VideoEndpoints(context).endpoints(),
    lambda context: collect.CollectEndpoints(context).endpoints(),
    lambda context: context_iq.ContextIqEndpoints(context).endpoints(),
    lambda context: context_iq_recommendations.ContextIqRecommendations(context).endpoints(),
)
"""The contracts. Longer paths come first: an id in a path may hold slashes."""
