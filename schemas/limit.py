"""Limits of values beyond their Avro types."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import h3

from domain.cell import is_cell
from domain.timestamp import DAY_MS
from domain.zone import zone_named
from schemas import text
from schemas.codec import DecodeError
from schemas.types import (
    Candidate,
    Content,
    Experiment,
    Features,
    FetchRequest,
    Impression,
    Interaction,
    Item,
    ItemNeighbors,
    ItemSignals,
    ItemStats,
    ItemWeights,
    LlmScores,
    Location,
    ModelVersion,
    Profile,
    ProfileUpdate,
    PushPreferences,
    PushRequest,
    PushToken,
    QuietHours,
    Trigger,
    UserWeights,
)

ID_CHARS = 256
"""Longest id of a user, item, session or request, in characters."""
RESERVED = "~"
"""First character of the ids of shared feeds, which belong to no single user."""
RETRAINER = "trainer"
"""User id of triggers to retrain, which belong to no single user."""
COLLECTOR = "collector"
"""User id of triggers to collect."""
TEXT_CHARS = 4_096
"""Longest description."""
LINE_CHARS = TEXT_CHARS // 4
"""Longest title, query, address or other line."""
QUERY_CHARS = 255
"""Longest search query."""
LIST_ITEMS = 1_000
"""Longest list or map in an event."""
RATING_SCALE = 5.0
"""Default of the highest rating."""
RATING_MAX = 100.0
"""Highest rating of any rating scale."""
VALUE_MAX = 1e6
PRODUCT = "product"
"""Kind of an item that a shop sells."""
PROFILE_FIELDS = ("segment", "categories", "topics", "muted", "timezone", "locale", "city", "attributes")
"""Fields of a profile that users state, all at once or one by one."""
PUSH_FIELDS = PushPreferences.__struct_fields__
"""Push preferences that users state, all at once or one by one."""
THRESHOLD_MAX = 1_000.0
"""Highest value threshold of a push."""
FUTURE_MS = 5 * 60 * 1000
"""Largest lead of a client's clock over the broker's."""
_FIRST_MS = 788_918_400_000
"""The beginning of 1995, the earliest event time: the oldest rating data sets begin in that year."""
_UNITS = (("seconds", 1_000, 1), ("microseconds", 1, 1_000), ("nanoseconds", 1, 1_000_000))
"""Units that clients confuse with milliseconds, each with the factor and divisor of the conversion."""
LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""
ZERO = "\x00"
"""A character that PostgreSQL rejects in texts."""
_PARTITIONS_MAX = 1_000
"""An upper bound on the partitions of a topic."""
_WEIGHT_MAX = 1e3
_SUM_MAX = 1e20
"""An upper bound on sums over events."""
_LOG_MAX = 1e12
"""An upper bound on the logarithm of decayed sums."""
_EMPTY_LOG = -math.inf
"""The logarithm of an empty sum."""
_MIN_ARMS = 2
_SHARES_WITHIN = 1e-6

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


class OutOfRangeError(DecodeError):
    """A value outside its limits."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__("out_of_range", f"{field} {problem}")


def check(record: Any, *, now_ms: int) -> None:
    """Check a record against the limits of its type; types without limits pass.

    Args:
        record: The record.
        now_ms: The broker's append time of the record, or the wall clock before it has one.

    Raises:
        OutOfRangeError: a field breaks a limit; names the first one.
    """
    rule = _RULES.get(type(record))
    if rule is not None:
        rule(record, now_ms)


def id_problem(value: str | None) -> str | None:
    """Return the problem of a text as an id, phrased to follow its name; None for a valid id."""
    if not value or len(value) > ID_CHARS:
        return f"must be 1 to {ID_CHARS} characters"
    return text.id_problem(value)


def _interaction(event: Interaction, now_ms: int) -> None:
    _event(event, now_ms)
    if event.action == "search":
        _text("query", event.query, LINE_CHARS)
    else:
        _id("item_id", event.item_id)
        _lines(event, "query")
    _optional_ids(event, "session_id", "request_id")
    if event.value is not None:
        _number("value", event.value, 0.0 if event.action == "rate" else -VALUE_MAX, _value_max(event))
    elif event.action == "rate":
        raise OutOfRangeError("value", "is missing: a rate needs the rating")
    _map("context", event.context)


def check_rating(event: Interaction, scale: float) -> None:
    """Check the rating of a rate against the scale of this deployment.

    Args:
        event: An interaction; other actions than rate pass.
        scale: The highest rating, the setting RATING_SCALE.

    Raises:
        OutOfRangeError: the rating is above the scale.
    """
    if event.action == "rate" and event.value is not None and not event.value <= scale:
        problem = f"must be a rating from 0 to {scale:g}, not {event.value:g}; RATING_SCALE sets the highest"
        raise OutOfRangeError("value", problem)


def check_age(event: Any, now_ms: int, *, max_days: float) -> None:
    """Check the time of an event against the maximum age of this deployment.

    Args:
        event: A record; one without an event time passes.
        now_ms: The current time in ms since the epoch.
        max_days: The maximum age, the setting EVENT_MAX_AGE_DAYS.

    Raises:
        OutOfRangeError: the event is older.
    """
    if now_ms - getattr(event, "occurred_at", now_ms) > max_days * DAY_MS:
        problem = f"is more than {max_days:g} days ago; EVENT_MAX_AGE_DAYS sets the greatest age of an event"
        raise OutOfRangeError("occurred_at", f"{problem}, and producers of the topic may write history of any age")


def _value_max(event: Interaction) -> float:
    return RATING_MAX if event.action == "rate" else VALUE_MAX


def _location(event: Location, now_ms: int) -> None:
    _event(event, now_ms)
    _number("resolution", event.resolution, 0, 15)
    if not is_cell(event.cell) or h3.get_resolution(event.cell) != event.resolution:
        raise OutOfRangeError("cell", "must be an H3 cell of the resolution")


def _trigger(event: Trigger, now_ms: int) -> None:
    _event(event, now_ms)
    _known("kind", event.kind)
    if event.kind == "erase":
        raise OutOfRangeError("kind", "erase is not supported: DELETE /profile/{user_id} forgets what a user states")
    _ids("candidates", event.candidates)
    _optional_ids(event, "request_id")
    _lines(event, "reason")
    for place, candidate in enumerate(event.described):
        _candidate(f"described[{place}]", candidate)
    _map("context", event.context)
    if event.topic_distance is not None:
        _number("topic_distance", event.topic_distance, 0.0, 1.0)


def _candidate(field: str, candidate: Candidate) -> None:
    _id(f"{field}.item_id", candidate.item_id)
    _ids(f"{field}.topics", candidate.topics)
    for name in ("category", "title", "text", "source"):
        _line(f"{field}.{name}", getattr(candidate, name), LINE_CHARS)


def _experiment(experiment: Experiment, now_ms: int) -> None:
    _id("experiment_id", experiment.experiment_id)
    _text("name", experiment.name, LINE_CHARS)
    _free("description", experiment.description, TEXT_CHARS)
    _lines(experiment, "metric")
    names = [arm.name for arm in experiment.arms]
    _ids("arms", names)
    if len(names) < _MIN_ARMS or len(set(names)) < len(names):
        raise OutOfRangeError("arms", "must be two or more, each of another name")
    for arm in experiment.arms:
        _number(f"arms[{arm.name}].share", arm.share, 0.0, 1.0)
        _map(f"arms[{arm.name}].parameters", arm.parameters)
    if not math.isclose(sum(arm.share for arm in experiment.arms), 1.0, abs_tol=_SHARES_WITHIN):
        raise OutOfRangeError("arms", "must have shares that add up to 1")
    starts_at = experiment.starts_at or 0
    _number("starts_at", starts_at, 0, LAST_MS)
    if experiment.ends_at is not None:
        _number("ends_at", experiment.ends_at, starts_at + 1, LAST_MS)
    _time("occurred_at", experiment.occurred_at, now_ms)


def _profile(event: Profile | ProfileUpdate, now_ms: int) -> None:
    _event(event, now_ms)
    for name in ("categories", "topics", "muted"):
        _ids(name, getattr(event, name))
    _lines(event, "segment", "timezone", "locale", "city")
    _map("attributes", event.attributes)


def _profile_update(event: ProfileUpdate, now_ms: int) -> None:
    _profile(event, now_ms)
    _known("kind", event.kind)
    _names("fields", event.fields, PROFILE_FIELDS)
    if event.kind == "update" and not event.fields:
        raise OutOfRangeError("fields", "is missing: an update needs the names of what it states")


def _impression(event: Impression, now_ms: int) -> None:
    _event(event, now_ms)
    _ids("items", [entry.item_id for entry in event.items])
    _optional_ids(event, "request_id")
    _lines(event, "surface")
    for entry in event.items:
        _number("position", entry.position, 0, LIST_ITEMS)
        if entry.propensity is not None:
            _number("propensity", entry.propensity, 0.0, 1.0)


def _push_request(event: PushRequest, now_ms: int) -> None:
    _event(event, now_ms)
    _known("kind", event.kind)
    _names("fields", event.fields, PUSH_FIELDS)
    if event.kind in ("register", "unregister", "revoke"):
        _text("token", event.token, TEXT_CHARS)
    if event.kind == "preferences" and event.preferences is None:
        raise OutOfRangeError("preferences", "is missing")
    if event.kind == "send" and not event.item_id:
        _text("title", event.title, LINE_CHARS)
    _optional_ids(event, "item_id")
    _lines(event, "category", "title")
    _free("body", event.body, TEXT_CHARS)
    if event.preferences is not None:
        _preferences(event.preferences)


def _push_token(event: PushToken, now_ms: int) -> None:
    _id("user_id", event.user_id)
    _text("token", event.token, TEXT_CHARS)
    _time("registered_at", event.registered_at, now_ms)


def _preferences(preferences: PushPreferences) -> None:
    _ids("preferences.categories", preferences.categories or [])
    if preferences.value_threshold is not None:
        _number("preferences.value_threshold", preferences.value_threshold, 0.0, THRESHOLD_MAX)
    if preferences.quiet_hours is not None:
        _quiet_hours(preferences.quiet_hours)


def _quiet_hours(hours: QuietHours) -> None:
    for name in ("start", "end"):
        if not _CLOCK.fullmatch(getattr(hours, name)):
            raise OutOfRangeError(f"preferences.quiet_hours.{name}", "must be a time of the day as HH:MM")
    if hours.start == hours.end:
        raise OutOfRangeError("preferences.quiet_hours.end", "must be another time than the start")
    if zone_named(hours.timezone) is None:
        raise OutOfRangeError("preferences.quiet_hours.timezone", "must be an IANA name such as Europe/Lisbon")


def _item(item: Item, now_ms: int) -> None:
    _id("item_id", item.item_id)
    _id("category", item.category)
    _text("title", item.title, LINE_CHARS)
    _free("description", item.description, TEXT_CHARS)
    _lines(item, "source", "url", "image_url", "city", "cell")
    _ids("topics", item.topics)
    _map("attributes", item.attributes)
    _time("created_at", item.created_at, now_ms)
    _lines(item, "kind", "brand")
    for name, most in (("price", 1e12), ("original_price", 1e12), ("rating", 5.0), ("reviews", 1e12), ("stock", 1e12)):
        value = getattr(item, name)
        if value is not None:
            _number(name, value, 0.0, most)


def _signals(signals: ItemSignals, now_ms: int) -> None:
    _id("item_id", signals.item_id)
    count = len(signals.source_offsets)
    for name in ("source_timestamps", "occurred_at", "actions", "weights", "ratings", "segments", "nths"):
        if len(getattr(signals, name)) != count:
            raise OutOfRangeError(name, f"must have {count} values, as many as source_offsets")
    _number("source_partition", signals.source_partition, 0, _PARTITIONS_MAX)
    _free("segments", max(signals.segments, key=len, default=""), LINE_CHARS)
    for weight in signals.weights:
        _number("weights", weight, -VALUE_MAX, VALUE_MAX)
    for rating in signals.ratings:
        _number("ratings", 0.0 if rating is None else rating, 0.0, RATING_MAX)
    for occurred_at in (min(signals.occurred_at, default=0), max(signals.occurred_at, default=0)):
        _time("occurred_at", occurred_at, now_ms)


def _item_stats(stats: ItemStats, now_ms: int) -> None:
    _id("item_id", stats.item_id)
    for name in ("trending", "popularity"):
        if getattr(stats, name) != _EMPTY_LOG:
            _number(name, getattr(stats, name), -_LOG_MAX, _LOG_MAX)
    for name in ("segments", "horizons", "cohorts"):
        _size(name, getattr(stats, name))
        _numbers(name, getattr(stats, name), -_LOG_MAX, _LOG_MAX, besides=_EMPTY_LOG)
    _size("counts", stats.counts)
    _numbers("counts", stats.counts, 0, _SUM_MAX)
    _number("rating_sum", stats.rating_sum, -_SUM_MAX, _SUM_MAX)
    _number("rating_count", stats.rating_count, 0, _SUM_MAX)
    _time("first_at", stats.first_at, now_ms)
    _time("watermark", stats.watermark, now_ms)


def _item_neighbors(row: ItemNeighbors, now_ms: int) -> None:
    _id("item_id", row.item_id)
    _columns(row, "neighbors", "scores")
    if row.follows:
        _columns(row, "neighbors", "follows")
    _numbers("scores", row.scores, 0.0, _SUM_MAX)
    _numbers("follows", row.follows, 0.0, _SUM_MAX)
    _number("mass", row.mass, 0.0, _SUM_MAX)
    _time("reference", row.reference, now_ms)
    _time("watermark", row.watermark, now_ms)


def _item_weights(row: ItemWeights, now_ms: int) -> None:
    _id("item_id", row.item_id)
    _columns(row, "others", "weights")
    _numbers("weights", row.weights, -VALUE_MAX, VALUE_MAX)


def _model_version(version: ModelVersion, now_ms: int) -> None:
    _id("model", version.model)
    _lines(version, "version")
    _free("reason", version.reason, 4 * TEXT_CHARS)
    _ids("parts", version.parts)
    _numbers("weights", version.weights, -_WEIGHT_MAX, _WEIGHT_MAX)
    _numbers("squares", version.squares, 0.0, _SUM_MAX)
    _numbers("scales", version.scales, 0.0, _SUM_MAX)
    _numbers("leads", version.leads, -_SUM_MAX, _SUM_MAX)
    _numbers("lead_squares", version.lead_squares, 0.0, _SUM_MAX)
    _time("created_at", version.created_at, now_ms)
    _time("watermark", version.watermark, now_ms)


def _columns(record: Any, names: str, values: str) -> None:
    """Reject columns of different lengths."""
    count = len(getattr(record, names))
    if len(getattr(record, values)) != count:
        raise OutOfRangeError(values, f"must have {count} values, as many as {names}")


def _size(field: str, values: Collection[Any]) -> None:
    if len(values) > LIST_ITEMS:
        raise OutOfRangeError(field, f"has more than {LIST_ITEMS} entries")


def _features(features: Features, now_ms: int) -> None:
    _id("user_id", features.user_id)
    for name in ("categories", "topics", "sources"):
        _numbers(name, getattr(features, name), -1e12, 1e12)


def _user_weights(own: UserWeights, now_ms: int) -> None:
    _id("user_id", own.user_id)
    _ids("weights", own.weights)
    _numbers("weights", own.weights, -_WEIGHT_MAX, _WEIGHT_MAX)
    _time("watermark", own.watermark, now_ms)


def _llm_scores(scores: LlmScores, now_ms: int) -> None:
    _id("user_id", scores.user_id)
    _ids("scores", scores.scores)
    _time("scored_at", scores.scored_at, now_ms)
    _numbers("scores", scores.scores, 0.0, 1.0)


def _fetch_request(event: FetchRequest, now_ms: int) -> None:
    _event(event, now_ms)
    _id("category", event.category)
    _lines(event, "reason", "cell", "city", "local_time")
    _free("about", event.about, 4 * TEXT_CHARS)
    _ids("words", event.words)
    _ids("known", event.known)


def _content(content: Content, now_ms: int) -> None:
    _id("user_id", content.user_id)
    _id("request_id", content.request_id)
    _id("category", content.category)
    _lines(content, "reason", "source", "fallback", "cell", "city")
    _ids("items", [entry.item_id for entry in content.items])
    for entry in content.items:
        _lines(entry, "reason")
    _time("requested_at", content.requested_at, now_ms)


def _event(event: Any, now_ms: int) -> None:
    _id("event_id", event.event_id)
    _id("user_id", event.user_id)
    if event.user_id.startswith(RESERVED):
        raise OutOfRangeError("user_id", f"must not begin with {RESERVED}: such ids name feeds of no one user")
    _event_time("occurred_at", event.occurred_at, now_ms)


def _id(field: str, value: str | None) -> None:
    problem = id_problem(value)
    if problem is not None:
        raise OutOfRangeError(field, problem)


def _known(field: str, symbol: str) -> None:
    """Reject an unknown symbol, whose request cannot be served."""
    if symbol == "unknown":
        raise OutOfRangeError(field, "is not one that is known here")


def _names(field: str, names: Iterable[str], allowed: Collection[str]) -> None:
    for name in names:
        if name not in allowed:
            raise OutOfRangeError(field, f"may only hold {', '.join(allowed)}")


def _text(field: str, value: str | None, longest: int) -> None:
    if not value or not value.strip() or len(value) > longest:
        raise OutOfRangeError(field, f"must be 1 to {longest} characters and not blank")
    _line(field, value, longest)


def _optional_ids(record: Any, *fields: str) -> None:
    for field in fields:
        if getattr(record, field) is not None:
            _id(field, getattr(record, field))


def _lines(record: Any, *fields: str) -> None:
    for field in fields:
        _line(field, getattr(record, field) or "", LINE_CHARS)


def _line(field: str, value: str, longest: int) -> None:
    _free(field, value, longest)
    problem = text.line_problem(value)
    if problem is not None:
        raise OutOfRangeError(field, problem)


def _free(field: str, value: str, longest: int) -> None:
    if len(value) > longest:
        raise OutOfRangeError(field, f"is longer than {longest} characters")
    if ZERO in value:
        raise OutOfRangeError(field, "holds a zero byte")


def _ids(field: str, values: Iterable[str]) -> None:
    values = list(values)
    _size(field, values)
    for value in values:
        _id(field, value)


def _map(field: str, values: Mapping[str, str]) -> None:
    _size(field, values)
    key_field = f"{field} key"
    for key, value in values.items():
        _id(key_field, key)
        if len(value) > TEXT_CHARS or ZERO in value:
            _free(f"{field}[{key}]", value, TEXT_CHARS)


def _number(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # NaN fails, too
        raise OutOfRangeError(field, f"must be a number from {low:g} to {high:g}, not {value:g}")


def _numbers(
    field: str, values: Mapping[str, float] | Sequence[float], low: float, high: float, *, besides: float = math.nan
) -> None:
    """Hold each number of a map or a list against its limits; `besides` is one more value that is allowed."""
    for key, value in values.items() if isinstance(values, Mapping) else enumerate(values):
        if not low <= value <= high and value != besides:
            _number(f"{field}[{key}]", value, low, high)


def _time(field: str, value: int, now_ms: int) -> None:
    if not 0 <= value <= now_ms + FUTURE_MS:
        raise OutOfRangeError(field, "must lie between 1970 and five minutes from now, in ms since the epoch")


def _event_time(field: str, value: int, now_ms: int) -> None:
    """Check that the time of an event lies between 1995 and five minutes from now."""
    latest_ms = now_ms + FUTURE_MS
    if not _FIRST_MS <= value <= latest_ms:
        units = [unit for unit, times, over in _UNITS if _FIRST_MS <= value * times // over <= latest_ms]
        hint = f"; {value} looks like {units[0]}" if units else f", not {value}"
        raise OutOfRangeError(
            field, f"must be milliseconds since 1970 that lie between 1995 and five minutes from now{hint}"
        )


_RULES: dict[type, Callable[[Any, int], None]] = {
    Interaction: _interaction,
    Location: _location,
    Trigger: _trigger,
    Profile: _profile,
    ProfileUpdate: _profile_update,
    Impression: _impression,
    PushRequest: _push_request,
    PushToken: _push_token,
    Item: _item,
    ItemSignals: _signals,
    ItemStats: _item_stats,
    ItemNeighbors: _item_neighbors,
    ItemWeights: _item_weights,
    ModelVersion: _model_version,
    Features: _features,
    LlmScores: _llm_scores,
    UserWeights: _user_weights,
    FetchRequest: _fetch_request,
    Content: _content,
    Experiment: _experiment,
}
