"""A/B experiments: definitions, their status, and the promotion of winners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from api.compat.experiment_errors import ExperimentConflictError, NoExperimentError, UnknownParameterError
from api.context import ApiContext
from api.http.body import Moment, Scalar, milliseconds, new_id, parse_body, texts
from api.http.endpoint import Endpoint
from api.http.error import (
    ApiError,
    BrokerUnavailableError,
    InvalidError,
    StoreUnavailableError,
)
from api.http.query import LimitQuery, parse_query
from api.http.response import json_response
from infra.experiments import definition
from infra.experiments.definition import ConflictError, ParameterError
from infra.redis.connection import StoreError
from schemas.limit import ID_CHARS, LINE_CHARS, TEXT_CHARS
from schemas.types import Arm, Experiment
from topics.topic import EXPERIMENTS

_BODY_BYTES = 64 << 10

Id = Annotated[str, Meta(min_length=1, max_length=ID_CHARS)]
Line = Annotated[str, Meta(max_length=LINE_CHARS)]
Share = Annotated[float, Meta(ge=0, le=1)]
Status = Literal["draft", "running", "paused", "completed"]


class ArmBody(msgspec.Struct, frozen=True, kw_only=True):
    """One arm of an experiment; without shares all arms are equally large."""

    name: Id
    share: Share | None = None
    parameters: dict[str, Scalar] | None = None
    """Settings of the ranking by variable, such as SERENDIPITY_WEIGHT."""


Arms = Annotated[list[ArmBody], Meta(min_length=2, max_length=50)]
Targeting = dict[str, list[Id]]


class ExperimentBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /ab/experiments; a repeated `experiment_id` replaces the definition of a draft."""

    name: Line
    arms: Arms
    experiment_id: Id | None = None
    description: Annotated[str, Meta(max_length=TEXT_CHARS)] = ""
    status: Status = "draft"
    metric: Line = ""
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    salt: Line = ""
    """Salt of the assignment; the experiment's id by default."""
    layer: Line = ""
    """Experiments of one layer divide its buckets, from 0 to 1, among them; the default is a layer of its own."""
    traffic_from: Share = 0.0
    traffic_to: Share = 1.0
    targeting: Targeting = {}
    """Accepted values by attribute: segment, city, timezone, interest."""
    is_shadow: bool = False
    """Whether the arms but the first are ranked for comparison only, and never shown."""

    def record(self, now_ms: int) -> Experiment:
        """Return the record to publish."""
        return Experiment(
            experiment_id=self.experiment_id or new_id(),
            name=self.name,
            description=self.description,
            status=self.status,
            arms=_arms(self.arms),
            metric=self.metric,
            starts_at=_time(self.starts_at, "starts_at"),
            ends_at=_time(self.ends_at, "ends_at"),
            salt=self.salt,
            layer=self.layer,
            traffic_from=self.traffic_from,
            traffic_to=self.traffic_to,
            targeting=self.targeting,
            is_shadow=self.is_shadow,
            occurred_at=now_ms,
        )


class ExperimentChangeBody(msgspec.Struct, frozen=True, kw_only=True):
    """PATCH /ab/experiments/{experiment_id}; fields that are left out stay as they are."""

    name: Line | UnsetType = UNSET
    arms: Arms | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=TEXT_CHARS)] | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    metric: Line | UnsetType = UNSET
    starts_at: Moment | UnsetType | None = UNSET
    ends_at: Moment | UnsetType | None = UNSET
    salt: Line | UnsetType = UNSET
    layer: Line | UnsetType = UNSET
    traffic_from: Share | UnsetType = UNSET
    traffic_to: Share | UnsetType = UNSET
    targeting: Targeting | UnsetType = UNSET
    paused_arms: Annotated[list[Id], Meta(max_length=50)] | UnsetType = UNSET
    """Names of the arms that are paused from now on; the others are resumed."""
    is_shadow: bool | UnsetType = UNSET

    def changes(self, now_ms: int) -> dict[str, Any]:
        """Return the new values by field of the record."""
        values: dict[str, Any] = {
            name: value
            for name in self.__struct_fields__
            if name != "paused_arms" and (value := getattr(self, name)) is not UNSET
        }
        values |= {name: _time(values[name], name) for name in ("starts_at", "ends_at") if name in values}
        if self.arms is not UNSET:
            values["arms"] = _arms(self.arms)
        return {**values, "occurred_at": now_ms}


class PromotionBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /ab/experiments/{experiment_id}/promote."""

    arm: Id


class Experiments(msgspec.Struct):
    """The experiments, newest first."""

    experiments: list[Experiment]
    count: int


class ExperimentQuery(LimitQuery, frozen=True, kw_only=True):
    """A filter on experiments, with a limit."""

    status: Status | None = None


_experiment = msgspec.json.Decoder(ExperimentBody)
_change = msgspec.json.Decoder(ExperimentChangeBody)
_promotion = msgspec.json.Decoder(PromotionBody)
_EXPERIMENT = {
    "name": "More surprises",
    "arms": [{"name": "as it is"}, {"name": "surprising", "parameters": {"SERENDIPITY_WEIGHT": 1}}],
}
_PATH = "/ab/experiments"
_ONE = f"{_PATH}/{{experiment_id}}"
_WRITE_ERRORS: tuple[type[ApiError], ...] = (ExperimentConflictError, BrokerUnavailableError, StoreUnavailableError)
_ONE_ERRORS: tuple[type[ApiError], ...] = (NoExperimentError, *_WRITE_ERRORS)


class ExperimentEndpoints:
    """Endpoints of experiments. Workers read the definitions from their topic, and the next rankings follow them."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "GET",
                _PATH,
                self.show_all,
                scope="service",
                query=ExperimentQuery,
                answers={200: Experiments},
                errors=(StoreUnavailableError,),
            ),
            Endpoint(
                "POST",
                _PATH,
                self.define,
                scope="service",
                body=ExperimentBody,
                example=_EXPERIMENT,
                answers={201: Experiment},
                errors=(UnknownParameterError, *_WRITE_ERRORS),
            ),
            Endpoint(
                "POST",
                f"{_ONE}/promote",
                self.promote,
                scope="service",
                body=PromotionBody,
                example={"arm": "surprising"},
                answers={200: Experiment},
                errors=_ONE_ERRORS,
            ),
            Endpoint(
                "POST",
                f"{_ONE}/rollback",
                self.roll_back,
                scope="service",
                answers={200: Experiment},
                errors=_ONE_ERRORS,
            ),
            Endpoint(
                "GET",
                _ONE,
                self.show,
                scope="service",
                answers={200: Experiment},
                errors=(NoExperimentError, StoreUnavailableError),
            ),
            Endpoint(
                "PATCH",
                _ONE,
                self.change,
                scope="service",
                body=ExperimentChangeBody,
                example={"status": "running"},
                answers={200: Experiment},
                errors=(UnknownParameterError, *_ONE_ERRORS),
            ),
        ]

    async def show_all(self, request: Request) -> Response:
        """Return the experiments with their status, arms, shares and winners, newest first."""
        query = parse_query(request, ExperimentQuery)
        experiments = [
            one for one in await self._context.clients.experiments.read() if query.status in (None, one.status)
        ][: query.limit]
        return json_response(Experiments(experiments, len(experiments)))

    async def show(self, request: Request) -> Response:
        """Return an experiment."""
        _, experiment = await self._read(request)
        return json_response(experiment)

    async def define(self, request: Request) -> Response:
        """Define an experiment, or a draft anew."""
        now_ms = self._context.clients.now_ms()
        new = self._context.validated((await parse_body(request, _experiment, _BODY_BYTES)).record(now_ms))
        with _refusals():
            definition.check_parameters(new.arms, self._context.settings)
            experiment = definition.created(new, await self._context.clients.experiments.read())
        return await self._publish(experiment, status=201)

    async def change(self, request: Request) -> Response:
        """Change an experiment: its status, its paused arms, and as far as the status allows the other fields."""
        body = await parse_body(request, _change, _BODY_BYTES)
        experiments, old = await self._read(request)
        with _refusals():
            new = definition.changed(
                old,
                body.changes(self._context.clients.now_ms()),
                experiments,
                paused_arms=None if body.paused_arms is UNSET else body.paused_arms,
            )
            if new.arms != old.arms or new.status == "running":
                definition.check_parameters(new.arms, self._context.settings)
        return await self._publish(new)

    async def promote(self, request: Request) -> Response:
        """Complete an experiment, and make the parameters of an arm the default for all users."""
        body = await parse_body(request, _promotion, _BODY_BYTES)
        _, old = await self._read(request)
        with _refusals():
            new = definition.promoted(old, body.arm, now_ms=self._context.clients.now_ms())
        return await self._publish(new)

    async def roll_back(self, request: Request) -> Response:
        """Take a promotion back: the parameters of the arm are no longer the default."""
        _, old = await self._read(request)
        with _refusals():
            new = definition.rolled_back(old, now_ms=self._context.clients.now_ms())
        return await self._publish(new)

    async def _read(self, request: Request) -> tuple[list[Experiment], Experiment]:
        """Return all experiments, and the one that the path names."""
        experiment_id = request.path_params["experiment_id"]
        experiments = await self._context.clients.experiments.read()
        for one in experiments:
            if one.experiment_id == experiment_id:
                return experiments, one
        raise NoExperimentError(experiment_id)

    async def _publish(self, experiment: Experiment, *, status: int = 200) -> Response:
        """Publish a definition, and store it at once, so that the next request finds it."""
        await self._context.publish(EXPERIMENTS, [experiment])
        with suppress(StoreError):  # the log role writes it from the topic
            await self._context.clients.experiments.write([experiment])
        return json_response(experiment, status)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn refused definitions into error responses."""
    try:
        yield
    except ConflictError as error:
        raise ExperimentConflictError(str(error)) from error
    except ParameterError as error:
        if error.is_unknown:
            raise UnknownParameterError(error.problem, field=error.field) from error
        raise InvalidError(error.field, error.problem) from error


def _arms(bodies: Sequence[ArmBody]) -> list[Arm]:
    """Return arms, with equal shares if none is given.

    Raises:
        InvalidError: only some arms have a share.
    """
    given_shares = [arm.share for arm in bodies]
    if None in given_shares and any(share is not None for share in given_shares):
        raise InvalidError("arms", "must all have a share, or none of them")
    return [
        Arm(
            name=arm.name,
            share=1 / len(bodies) if arm.share is None else arm.share,
            parameters=texts(arm.parameters),
        )
        for arm in bodies
    ]


def _time(moment: Moment | None, name: str) -> int | None:
    return None if moment is None else milliseconds(moment, name)
