"""Limits of records, by type: of their fields, and of fields against each other."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import h3

from domain.cell import is_cell
from domain.timestamp import DAY_MS
from domain.zone import zone_named
from schemas.arm_pause import MAX_PAUSES, is_paused
from schemas.event_context import context_rating
from schemas.learned_limit import RULES as LEARNED_RULES
from schemas.limit import (
    LAST_MS,
    LINE_CHARS,
    LIST_ITEMS,
    PROFILE_FIELDS,
    PUSH_FIELDS,
    RATING_MAX,
    RESERVED,
    TARGETS,
    TEXT_CHARS,
    THRESHOLD_MAX,
    VALUE_MAX,
    OutOfRangeError,
    check_event_time,
    check_free_text,
    check_id,
    check_ids,
    check_known,
    check_line,
    check_lines,
    check_map,
    check_names,
    check_number,
    check_numbers,
    check_optional_ids,
    check_size,
    check_text,
    check_time,
)
from schemas.types import (
    Arm,
    Candidate,
    Content,
    ErasureRequest,
    Experiment,
    Exposure,
    FetchRequest,
    Impression,
    Interaction,
    Item,
    LlmScores,
    Location,
    Profile,
    ProfileUpdate,
    PushPreferences,
    PushRequest,
    PushToken,
    QuietHours,
    ShadowComparison,
    Trigger,
)

_MIN_ARMS = 2
_SHARES_WITHIN = 1e-6
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


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


def check_rating(event: Interaction, scale: float) -> None:
    """Check the rating of an interaction against the scale of this deployment.

    Args:
        event: An interaction; one without a rating passes.
        scale: The highest rating, the setting RATING_SCALE.

    Raises:
        OutOfRangeError: the rating is not on the scale.
    """
    is_rate = event.action == "rate"
    rating = event.value if is_rate else context_rating(event)
    if rating is not None and not 0.0 <= rating <= scale:
        problem = f"must be a rating from 0 to {scale:g}, not {rating:g}; RATING_SCALE sets the highest"
        raise OutOfRangeError("value" if is_rate else "rating", problem)


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


def _interaction(event: Interaction, now_ms: int) -> None:
    _event(event, now_ms)
    if event.action == "search":
        check_text("query", event.query, LINE_CHARS)
    else:
        check_id("item_id", event.item_id)
        check_lines(event, "query")
    check_optional_ids(event, "session_id", "request_id")
    if event.value is not None:
        check_number("value", event.value, 0.0 if event.action == "rate" else -VALUE_MAX, _value_max(event))
    elif event.action == "rate":
        raise OutOfRangeError("value", "is missing: a rate needs the rating")
    check_map("context", event.context)


def _value_max(event: Interaction) -> float:
    return RATING_MAX if event.action == "rate" else VALUE_MAX


def _location(event: Location, now_ms: int) -> None:
    _event(event, now_ms)
    check_number("resolution", event.resolution, 0, 15)
    if not is_cell(event.cell) or h3.get_resolution(event.cell) != event.resolution:
        raise OutOfRangeError("cell", "must be an H3 cell of the resolution")


def _trigger(event: Trigger, now_ms: int) -> None:
    _event(event, now_ms)
    check_known("kind", event.kind)
    if event.kind == "erase":
        raise OutOfRangeError("kind", "erase is not supported: DELETE /profile/{user_id} forgets what a user states")
    check_ids("candidates", event.candidates)
    check_optional_ids(event, "request_id")
    check_lines(event, "reason")
    for index, candidate in enumerate(event.described):
        _candidate(f"described[{index}]", candidate)
    check_map("context", event.context)
    if event.topic_distance is not None:
        check_number("topic_distance", event.topic_distance, 0.0, 1.0)


def _candidate(field: str, candidate: Candidate) -> None:
    check_id(f"{field}.item_id", candidate.item_id)
    check_ids(f"{field}.topics", candidate.topics)
    for name in ("category", "title", "text", "source"):
        check_line(f"{field}.{name}", getattr(candidate, name), LINE_CHARS)


def _experiment(experiment: Experiment, now_ms: int) -> None:
    check_id("experiment_id", experiment.experiment_id)
    check_text("name", experiment.name, LINE_CHARS)
    check_free_text("description", experiment.description, TEXT_CHARS)
    check_lines(experiment, "metric")
    names = [arm.name for arm in experiment.arms]
    check_ids("arms", names)
    if len(names) < _MIN_ARMS or len(set(names)) < len(names):
        raise OutOfRangeError("arms", "must be two or more, each of another name")
    for arm in experiment.arms:
        check_number(f"arms[{arm.name}].share", arm.share, 0.0, 1.0)
        check_map(f"arms[{arm.name}].parameters", arm.parameters)
        _pauses(arm)
    if is_paused(experiment.arms[0]):
        raise OutOfRangeError("arms", "must not be paused in the first one, which stands in for the others")
    if experiment.is_shadow and experiment.arms[0].parameters:
        raise OutOfRangeError(
            f"arms[{names[0]}].parameters", "must be empty: the first arm of a shadow is what is shown"
        )
    if not math.isclose(sum(arm.share for arm in experiment.arms), 1.0, abs_tol=_SHARES_WITHIN):
        raise OutOfRangeError("arms", "must have shares that add up to 1")
    starts_at = experiment.starts_at or 0
    check_number("starts_at", starts_at, 0, LAST_MS)
    if experiment.ends_at is not None:
        check_number("ends_at", experiment.ends_at, starts_at + 1, LAST_MS)
    check_lines(experiment, "salt", "layer")
    check_number("traffic_from", experiment.traffic_from, 0.0, 1.0)
    check_number("traffic_to", experiment.traffic_to, 0.0, 1.0)
    if experiment.traffic_from >= experiment.traffic_to:
        raise OutOfRangeError("traffic_to", "must be above traffic_from")
    check_names("targeting", experiment.targeting, TARGETS)
    for name, values in experiment.targeting.items():
        check_ids(f"targeting[{name}]", values)
        if not values:
            raise OutOfRangeError(f"targeting[{name}]", "must have one value or more")
    _winner(experiment, names)
    check_time("occurred_at", experiment.occurred_at, now_ms)


def _pauses(arm: Arm) -> None:
    field = f"arms[{arm.name}].pauses"
    check_number(field, len(arm.pauses), 0, MAX_PAUSES)
    ended_at = 0
    for pause in arm.pauses:
        check_number(f"{field}.paused_at", pause.paused_at, ended_at, LAST_MS)
        ended_at = LAST_MS if pause.resumed_at is None else pause.resumed_at
        check_number(f"{field}.resumed_at", ended_at, pause.paused_at, LAST_MS)
        check_free_text(f"{field}.reason", pause.reason, TEXT_CHARS)


def _winner(experiment: Experiment, names: list[str]) -> None:
    if experiment.winner and (experiment.winner not in names or experiment.status != "completed"):
        raise OutOfRangeError("winner", "must be an arm of a completed experiment")
    if (experiment.promoted_at is not None) != bool(experiment.winner):
        raise OutOfRangeError("promoted_at", "must be there with a winner, and only then")
    check_number("promoted_at", experiment.promoted_at or 0, 0, LAST_MS)


def _exposure(exposure: Exposure, now_ms: int) -> None:
    for name in ("event_id", "user_id", "experiment_id", "arm"):
        check_id(name, getattr(exposure, name))
    for name in ("defined_at", "first_at"):
        check_time(name, getattr(exposure, name), now_ms)


def _shadow_comparison(comparison: ShadowComparison, now_ms: int) -> None:
    for name in ("user_id", "experiment_id", "arm"):
        check_id(name, getattr(comparison, name))
    for name in ("features_version", "compared_at"):
        check_time(name, getattr(comparison, name), now_ms)
    for name in ("overlap", "rank_biased_overlap"):
        check_number(name, getattr(comparison, name), 0.0, 1.0)
    check_number("score_difference", comparison.score_difference, -VALUE_MAX, VALUE_MAX)
    check_ids("items", comparison.items)
    check_lines(comparison, "policy")
    for name in ("shown_sources", "sources", "shown_categories", "categories"):
        counts = getattr(comparison, name)
        check_size(name, counts)
        check_numbers(name, counts, 0, LIST_ITEMS)
    for name in ("shown_ranking_ms", "ranking_ms"):
        check_number(name, getattr(comparison, name), 0.0, VALUE_MAX)


def _profile(event: Profile | ProfileUpdate, now_ms: int) -> None:
    _event(event, now_ms)
    for name in ("categories", "topics", "muted"):
        check_ids(name, getattr(event, name))
    check_lines(event, "segment", "timezone", "locale", "city")
    check_map("attributes", event.attributes)


def _profile_update(event: ProfileUpdate, now_ms: int) -> None:
    _profile(event, now_ms)
    check_known("kind", event.kind)
    check_names("fields", event.fields, PROFILE_FIELDS)
    if event.kind == "update" and not event.fields:
        raise OutOfRangeError("fields", "is missing: an update needs the names of the fields that it states")


def _impression(event: Impression, now_ms: int) -> None:
    _event(event, now_ms)
    check_ids("items", [entry.item_id for entry in event.items])
    check_optional_ids(event, "request_id")
    check_lines(event, "surface")
    for entry in event.items:
        check_number("position", entry.position, 0, LIST_ITEMS)
        if entry.propensity is not None:
            check_number("propensity", entry.propensity, 0.0, 1.0)


def _push_request(event: PushRequest, now_ms: int) -> None:
    _event(event, now_ms)
    check_known("kind", event.kind)
    check_names("fields", event.fields, PUSH_FIELDS)
    if event.kind in ("register", "unregister", "revoke"):
        check_text("token", event.token, TEXT_CHARS)
    if event.kind == "preferences" and event.preferences is None:
        raise OutOfRangeError("preferences", "is missing")
    if event.kind == "send" and not event.item_id:
        check_text("title", event.title, LINE_CHARS)
    check_optional_ids(event, "item_id")
    check_lines(event, "category", "title")
    check_free_text("body", event.body, TEXT_CHARS)
    if event.preferences is not None:
        _preferences(event.preferences)


def _push_token(event: PushToken, now_ms: int) -> None:
    check_id("user_id", event.user_id)
    check_text("token", event.token, TEXT_CHARS)
    check_time("registered_at", event.registered_at, now_ms)


def _preferences(preferences: PushPreferences) -> None:
    check_ids("preferences.categories", preferences.categories or [])
    if preferences.value_threshold is not None:
        check_number("preferences.value_threshold", preferences.value_threshold, 0.0, THRESHOLD_MAX)
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
    check_id("item_id", item.item_id)
    check_id("category", item.category)
    check_text("title", item.title, LINE_CHARS)
    check_free_text("description", item.description, TEXT_CHARS)
    check_lines(item, "source", "url", "image_url", "city", "cell")
    check_ids("topics", item.topics)
    check_map("attributes", item.attributes)
    check_time("created_at", item.created_at, now_ms)
    check_lines(item, "kind", "brand")
    for name, most in (("price", 1e12), ("original_price", 1e12), ("rating", 5.0), ("reviews", 1e12), ("stock", 1e12)):
        value = getattr(item, name)
        if value is not None:
            check_number(name, value, 0.0, most)


def _llm_scores(scores: LlmScores, now_ms: int) -> None:
    check_id("user_id", scores.user_id)
    check_ids("scores", scores.scores)
    check_time("scored_at", scores.scored_at, now_ms)
    check_numbers("scores", scores.scores, 0.0, 1.0)


def _fetch_request(event: FetchRequest, now_ms: int) -> None:
    _event(event, now_ms)
    check_id("category", event.category)
    check_lines(event, "reason", "cell", "city", "local_time")
    check_free_text("about", event.about, 4 * TEXT_CHARS)
    check_ids("words", event.words)
    check_ids("known", event.known)


def _content(content: Content, now_ms: int) -> None:
    check_id("user_id", content.user_id)
    check_id("request_id", content.request_id)
    check_id("category", content.category)
    check_lines(content, "reason", "source", "fallback", "cell", "city")
    check_ids("items", [entry.item_id for entry in content.items])
    for entry in content.items:
        check_lines(entry, "reason")
    check_time("requested_at", content.requested_at, now_ms)


def _event(event: Any, now_ms: int) -> None:
    check_id("event_id", event.event_id)
    check_id("user_id", event.user_id)
    if event.user_id.startswith(RESERVED):
        raise OutOfRangeError("user_id", f"must not begin with {RESERVED}: such ids name feeds of no one user")
    check_event_time("occurred_at", event.occurred_at, now_ms)


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
    LlmScores: _llm_scores,
    FetchRequest: _fetch_request,
    Content: _content,
    Experiment: _experiment,
    Exposure: _exposure,
    ShadowComparison: _shadow_comparison,
    ErasureRequest: _event,
    **LEARNED_RULES,
}
