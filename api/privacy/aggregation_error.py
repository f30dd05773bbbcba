"""Error responses of secure aggregations."""

from __future__ import annotations

from api.http.error import RETRY_AFTER_S, ApiError


class NoAggregationError(ApiError):
    """There is no such aggregation, or it is no longer kept."""

    status, code = 404, "unknown_aggregation"

    def __init__(self, aggregation_id: str) -> None:
        super().__init__(f"there is no aggregation {aggregation_id!r}, or it is no longer kept")


class NoContributorError(ApiError):
    """The user has not taken part in the aggregation's earlier rounds."""

    status, code = 403, "no_contributor"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"{user_id!r} has not taken part in the earlier rounds")


class RoundConflictError(ApiError):
    """The aggregation is in another round."""

    status, code = 409, "wrong_round"

    def __init__(self, state: str) -> None:
        super().__init__(f"the aggregation is in another round: its state is {state!r}")


class RepeatedMessageError(ApiError):
    """The user has sent another message of this round."""

    status, code = 409, "repeated_message"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"{user_id!r} has sent another message of this round")


class AggregationFullError(ApiError):
    """The aggregation has as many clients as it may have."""

    status, code = 409, "aggregation_full"

    def __init__(self, max_clients: int) -> None:
        super().__init__(f"the aggregation has {max_clients} clients, and no more may take part")


class AggregationFailedError(ApiError):
    """The aggregation has ended without a sum: too few clients were left in time, or their shares are wrong."""

    status, code = 410, "aggregation_failed"

    def __init__(self, clients: int, threshold: int) -> None:
        super().__init__(
            f"the aggregation has ended without a sum: {clients} clients were left and {threshold} are needed, or "
            "their shares are wrong"
        )


class TooManyAggregationsError(ApiError):
    """The limit of aggregations in progress is reached."""

    status, code = 429, "too_many_aggregations"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} aggregations are in progress already")

    def headers(self) -> dict[str, str]:
        """Return Retry-After."""
        return {"Retry-After": str(RETRY_AFTER_S)}
