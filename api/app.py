"""The API as one ASGI app: routes, middleware, error handlers and lifespan.

POST /interaction  /interaction/batch  /impression  /location  /profile endpoints.publish
PATCH /profile/{user_id}   DELETE /profile/{user_id}                    endpoints.publish
DELETE /user/{user_id}   GET /user/{user_id}/erasure  /user/{user_id}/export  privacy.erasure
GET /privacy/budget                                                           privacy.budget_report
POST /aggregations   GET /aggregations/{aggregation_id}  …/sum                privacy.secure_aggregation
GET, POST /aggregations/{aggregation_id}/keys  …/shares                       privacy.secure_aggregation
GET …/survivors   POST …/values  …/reveals                                    privacy.secure_aggregation
POST /retrieve  /retrieve/batch                                         endpoints.publish
GET  /content  /content/stream                                          endpoints.content
GET  /interaction/{user_id}  /interaction/aggregate/{user_id}           endpoints.history
GET  /results/{user_id}   POST /results/re-rank                         endpoints.results
GET  /items/{item_id}  /search                                          endpoints.items, endpoints.search
GET  /health  /health/live  /health/ready  /metrics                      endpoints.health, endpoints.metrics
GET  /metrics/models   POST /retrain                                    endpoints.models
GET  /prompts/{user_id}  /admin/cache/view/{user_id}   POST /admin/cache/clear/{user_id}  endpoints.admin
GET  /admin/event-rates                                                 endpoints.admin
POST /push/register  /push/unregister  /push/send  /push/batch  /notifications/send
GET  /push/preferences/{user_id}  /notifications/{user_id}
PUT, PATCH /push/preferences/{user_id}                                  endpoints.push
GET  /openapi.json  /docs  /redoc  /asyncapi.json  /docs/topics  /docs/errors  openapi
…    one module per external contract                                   compat
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute

from api import openapi
from api.compat import COMPAT_ENDPOINTS, EndpointGroup
from api.context import ApiContext, Clients
from api.endpoints.admin import AdminEndpoints
from api.endpoints.content import ContentEndpoints
from api.endpoints.health import HealthEndpoints
from api.endpoints.history import HistoryEndpoints
from api.endpoints.items import ItemEndpoints
from api.endpoints.metrics import Metrics
from api.endpoints.models import ModelEndpoints
from api.endpoints.publish import PublishEndpoints
from api.endpoints.push import PushEndpoints
from api.endpoints.results import ResultEndpoints
from api.endpoints.search import SearchEndpoints
from api.http.endpoint import Endpoint
from api.http.error import ApiError
from api.http.error_response import on_api_error, on_disconnect, on_http_exception, on_store_error, on_unforeseen
from api.http.request_context import RequestContextMiddleware
from api.http.route_index import RouteIndex
from api.privacy.budget_report import PrivacyBudgetEndpoints
from api.privacy.erasure import ErasureEndpoints
from api.privacy.secure_aggregation import SecureAggregationEndpoints
from api.security.guard import Guard
from domain import gazetteer
from infra.redis.connection import StoreError
from infra.redis.metrics.experiment_results_store import shadow_results
from infra.redis.stores.item_store import ItemCache
from infra.settings import Settings, comma_separated


def create_app(
    settings: Settings,
    clients: Clients,
    *,
    more_endpoints: Sequence[EndpointGroup] = (),
    more_routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """Create the app; it closes its clients when it stops.

    Serve it with `api.http.server`, one process per core.

    Args:
        settings: The settings.
        clients: The clients of all external systems.
        more_endpoints: Additional endpoints, guarded and documented like all others.
        more_routes: Additional routes, tried after all others, for pages served beside the API.
    """
    metrics = Metrics(
        clients.heartbeats,
        clients.click_rates,
        lambda: shadow_results(clients.experiments, clients.experiment_results),
    )
    for database in clients.databases:
        database.on_query = metrics.record_query
    reranks = asyncio.Semaphore(settings.api_max_listeners)
    context = ApiContext(settings, clients, metrics, ItemCache(clients.items), reranks)
    guard = Guard(context)
    metrics.rate_limits_degraded.set_function(lambda: guard.limits == "blind")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(gazetteer.load)  # so that no request waits for it
        buffers = (context.audits.events, context.impressions.events)
        works = (*(buffer.run() for buffer in buffers), context.items.follow(), context.feeds.follow())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for buffer in buffers:
                await buffer.flush()
            await clients.close()

    api_endpoints = endpoints(context, guard) + [endpoint for group in more_endpoints for endpoint in group(context)]
    origins = set(comma_separated(settings.cors_origins))
    app = Starlette(
        routes=[RouteIndex(guard.routes(api_endpoints)), *openapi.routes(api_endpoints, settings), *more_routes],
        middleware=[
            Middleware(RequestContextMiddleware, metrics=metrics, logs=settings.log_requests),
            *_cors(origins),
            # Inside the layers above, so that internal errors get their headers, too.
            Middleware(ExceptionMiddleware, handlers={ClientDisconnect: on_disconnect, Exception: on_unforeseen}),
        ],
        exception_handlers={
            ApiError: on_api_error,
            HTTPException: on_http_exception,
            StoreError: on_store_error,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirected POST loses its body
    app.state.origins, app.state.metrics = origins, metrics
    return app


def endpoints(context: ApiContext, guard: Guard) -> list[Endpoint]:
    """Return all endpoints of the API, in the order in which routes are matched."""
    groups = (
        ContentEndpoints(context),
        PublishEndpoints(context),
        HistoryEndpoints(context),
        ResultEndpoints(context),
        ItemEndpoints(context),
        SearchEndpoints(context),
        ModelEndpoints(context),
        AdminEndpoints(context),
        PushEndpoints(context),
        ErasureEndpoints(context),
        PrivacyBudgetEndpoints(context),
        SecureAggregationEndpoints(context),
        HealthEndpoints(context, guard),
        context.metrics,
    )
    own = [endpoint for group in groups for endpoint in group.endpoints()]
    return own + [endpoint for group in COMPAT_ENDPOINTS for endpoint in group(context)]


def _cors(origins: Collection[str]) -> list[Middleware]:
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "*"
            ],  # any, for these origins: tracing SDKs send their own headers, and nothing relies on cookies
            expose_headers=["ETag", "Retry-After", "X-Request-ID"],
            max_age=3_600,
        )
    ]
