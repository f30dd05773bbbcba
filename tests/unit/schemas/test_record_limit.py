import math
from typing import Any

import msgspec
import pytest

from schemas import types
from schemas.limit import FUTURE_MS, ID_CHARS, LINE_CHARS, LIST_ITEMS, TEXT_CHARS, VALUE_MAX, OutOfRangeError
from schemas.record_limit import check, check_age

NOW_MS = 1_800_000_000_000
GOOD: dict[type, dict[str, Any]] = {
    types.Interaction: {
        "event_id": "e",
        "user_id": "u",
        "item_id": "i",
        "action": "click",
        "occurred_at": NOW_MS,
        "context": {"surface": "home"},
    },
    types.Location: {
        "event_id": "e",
        "user_id": "u",
        "cell": "872a1072bffffff",
        "resolution": 7,
        "occurred_at": NOW_MS,
    },
    types.Trigger: {"event_id": "e", "user_id": "u", "kind": "refresh", "occurred_at": NOW_MS},
    types.Profile: {"event_id": "e", "user_id": "u", "occurred_at": NOW_MS},
    types.Impression: {
        "event_id": "e",
        "user_id": "u",
        "items": [types.ShownItem(item_id="i", position=0, propensity=0.5)],
        "occurred_at": NOW_MS,
    },
    types.Item: {"item_id": "i", "category": "music", "title": "A title", "created_at": NOW_MS},
    types.ItemSignals: {
        "item_id": "i",
        "source_partition": 0,
        "source_offsets": [0],
        "source_timestamps": [NOW_MS],
        "occurred_at": [NOW_MS],
        "actions": ["like"],
        "weights": [1.0],
        "ratings": [None],
        "segments": [""],
        "nths": [0],
    },
    types.ItemStats: {"item_id": "i", "trending": -math.inf, "popularity": 0.0, "watermark": NOW_MS},
    types.ItemNeighbors: {"item_id": "i", "neighbors": ["j"], "scores": [1.0], "watermark": NOW_MS},
    types.ItemWeights: {"item_id": "i", "model_version": "v", "others": ["j"], "weights": [-0.5]},
    types.ModelVersion: {
        "model": "m",
        "version": "v",
        "created_at": NOW_MS,
        "watermark": NOW_MS,
        "status": "serving",
        "events": 1,
        "weights": [0.1],
        "scales": [0.0],
        "leads": [-0.5],
        "lead_squares": [0.5],
        "judged": 1.0,
    },
    types.PushRequest: {
        "event_id": "e",
        "user_id": "u",
        "kind": "register",
        "token": "t",
        "preferences": types.PushPreferences(
            quiet_hours=types.QuietHours(start="22:00", end="08:00", timezone="Asia/Tokyo"), value_threshold=0.0
        ),
        "occurred_at": NOW_MS,
    },
    types.Features: {"user_id": "u", "version": 1, "watermark": 0, "event_count": 0},
    types.ShadowComparison: {
        "user_id": "u",
        "experiment_id": "x",
        "arm": "a",
        "features_version": NOW_MS,
        "compared_at": NOW_MS,
        "overlap": 0.5,
        "rank_biased_overlap": 0.5,
        "is_first_changed": False,
        "score_difference": 0.0,
        "items": ["i"],
        "sources": {"fresh": 10},
        "shown_ranking_ms": 1.0,
        "ranking_ms": 1.0,
    },
}
LONG_ID, LONG_LINE, LONG_TEXT = "x" * (ID_CHARS + 1), "x" * (LINE_CHARS + 1), "x" * (TEXT_CHARS + 1)
SHOWN = types.ShownItem(item_id="i", position=0)


def a(record: type, **overrides: Any) -> Any:
    return record(**(GOOD[record] | overrides))


@pytest.mark.parametrize("record", GOOD, ids=lambda record: record.__name__)
def test_an_ordinary_record_passes(record: type) -> None:
    check(a(record), now_ms=NOW_MS)


@pytest.mark.parametrize(
    "record",
    [
        a(types.Interaction, item_id=None, action="search", query="red shoes"),
        a(types.Interaction, action="rate", value=100.0),
        a(types.Interaction, action="rate", value=0.0),
        a(types.Interaction, action="unknown"),
        a(types.Interaction, value=-VALUE_MAX),
        a(types.Interaction, occurred_at=788_918_400_000),
        a(types.Item, created_at=0),
        a(types.Item, created_at=1),
        a(types.Interaction, occurred_at=NOW_MS + FUTURE_MS),
        a(types.Interaction, user_id="x" * ID_CHARS),
        a(types.Interaction, user_id="José 世界"),
        a(types.Location, cell="802bfffffffffff", resolution=0),
        a(types.Location, cell="8f2a1072b00b34e", resolution=15),
        a(types.Trigger, candidates=["i"] * LIST_ITEMS),
        a(types.Item, price=0.0, description="x" * TEXT_CHARS),
    ],
    ids=str,
)
def test_the_edges_of_the_limits_pass(record: msgspec.Struct) -> None:
    check(record, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("record", "field", "value"),
    [
        (types.Interaction, "event_id", ""),
        (types.Interaction, "user_id", ""),
        (types.Interaction, "user_id", LONG_ID),
        (types.Interaction, "user_id", "a\nb"),
        (types.Interaction, "user_id", "a\x00b"),
        (types.Interaction, "item_id", None),
        (types.Interaction, "item_id", ""),
        (types.Interaction, "occurred_at", -1),
        (types.Interaction, "occurred_at", NOW_MS + FUTURE_MS + 1),
        (types.Interaction, "value", math.nan),
        (types.Interaction, "value", math.inf),
        (types.Interaction, "value", VALUE_MAX * 2),
        (types.Interaction, "session_id", ""),
        (types.Interaction, "request_id", LONG_ID),
        (types.Interaction, "query", LONG_LINE),
        (types.Interaction, "query", "jazz\x00"),
        (types.Location, "resolution", -1),
        (types.Location, "resolution", 16),
        (types.Location, "cell", ""),
        (types.Location, "cell", "Greenwich Village"),
        (types.Location, "cell", "862a1072fffffff"),
        (types.Trigger, "candidates", ["i"] * (LIST_ITEMS + 1)),
        (types.Trigger, "candidates", [""]),
        (types.Trigger, "reason", LONG_LINE),
        (types.Profile, "muted", [LONG_ID]),
        (types.Profile, "segment", LONG_LINE),
        (types.Profile, "timezone", LONG_LINE),
        (types.Impression, "items", [SHOWN] * (LIST_ITEMS + 1)),
        (types.Impression, "surface", LONG_LINE),
        (types.Item, "item_id", ""),
        (types.Item, "category", ""),
        (types.Item, "title", "   "),
        (types.Item, "title", LONG_LINE),
        (types.Item, "title", "\x00Jazz"),
        (types.Item, "description", LONG_TEXT),
        (types.Item, "description", "ja\x00zz"),
        (types.Item, "url", LONG_LINE),
        (types.Item, "price", -0.01),
        (types.Item, "price", math.nan),
        (types.Item, "created_at", -1),
        (types.ItemSignals, "weights", [math.inf]),
        (types.ItemSignals, "occurred_at", [-1]),
        (types.ItemSignals, "item_id", ""),
        (types.ItemSignals, "nths", []),
        (types.ItemSignals, "ratings", [101.0]),
        (types.ItemStats, "trending", math.inf),
        (types.ItemStats, "popularity", math.nan),
        (types.ItemStats, "rating_sum", 1e300),
        (types.ItemStats, "rating_count", -1),
        (types.ItemStats, "first_at", NOW_MS + FUTURE_MS + 1),
        (types.ItemStats, "watermark", 1 << 62),
        (types.ItemNeighbors, "scores", []),
        (types.ItemNeighbors, "follows", [1.0, 2.0]),
        (types.ItemNeighbors, "reference", NOW_MS + FUTURE_MS + 1),
        (types.ItemWeights, "weights", [1.0, 2.0]),
        (types.ModelVersion, "model", ""),
        (types.ModelVersion, "created_at", -1),
        (types.PushRequest, "user_id", "~everyone"),
        (types.PushRequest, "token", None),
        (types.PushRequest, "token", LONG_TEXT),
        (types.PushRequest, "title", LONG_LINE),
        (types.PushRequest, "category", LONG_LINE),
        (types.PushRequest, "body", LONG_TEXT),
        (types.PushRequest, "item_id", LONG_ID),
        (types.Features, "user_id", ""),
    ],
)
def test_each_limit_names_its_field(record: type, field: str, value: Any) -> None:
    with pytest.raises(OutOfRangeError) as exc_info:
        check(a(record, **{field: value}), now_ms=NOW_MS)
    assert (exc_info.value.field, exc_info.value.reason) == (field, "out_of_range")


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (a(types.Interaction, action="rate", value=None), "value"),
        (a(types.Interaction, action="rate", value=100.5), "value"),
        (a(types.Interaction, action="rate", value=-0.5), "value"),
        (a(types.Interaction, action="search", query=" \t "), "query"),
        (a(types.Interaction, action="search", query=None), "query"),
        (a(types.Interaction, context={"": "a"}), "context key"),
        (a(types.Interaction, context={"a": LONG_TEXT}), "context[a]"),
        (a(types.Interaction, context={"a": "b\x00"}), "context[a]"),
        (a(types.Interaction, context={str(n): "" for n in range(LIST_ITEMS + 1)}), "context"),
        (a(types.Impression, items=[types.ShownItem(item_id="i", position=-1)]), "position"),
        (a(types.Impression, items=[types.ShownItem(item_id="i", position=0, propensity=1.5)]), "propensity"),
        (a(types.PushRequest, kind="send"), "title"),
        (a(types.PushRequest, kind="preferences", preferences=None), "preferences"),
        (a(types.Features, categories={"music": math.nan}), "categories[music]"),
        (a(types.ItemStats, segments={"s": math.inf}), "segments[s]"),
        (a(types.ItemStats, horizons=[0.0, math.nan]), "horizons[1]"),
        (a(types.ItemStats, cohorts=[1e300]), "cohorts[0]"),
        (a(types.ItemStats, counts={"click": -1}), "counts[click]"),
        (a(types.ItemNeighbors, scores=[-1.0]), "scores[0]"),
        (a(types.ItemNeighbors, follows=[math.inf]), "follows[0]"),
        (a(types.ItemNeighbors, mass=1e30), "mass"),
        (a(types.ItemWeights, weights=[math.nan]), "weights[0]"),
        (a(types.ShadowComparison, overlap=1.1), "overlap"),
        (a(types.ShadowComparison, score_difference=math.nan), "score_difference"),
        (a(types.ShadowComparison, sources={"fresh": -1}), "sources[fresh]"),
        (a(types.ShadowComparison, items=[""]), "items"),
        (a(types.ModelVersion, weights=[1e6]), "weights[0]"),
        (a(types.ModelVersion, squares=[-1.0]), "squares[0]"),
    ],
    ids=str,
)
def test_each_limit_that_hangs_on_another_field_is_held(record: msgspec.Struct, field: str) -> None:
    with pytest.raises(OutOfRangeError) as exc_info:
        check(record, now_ms=NOW_MS)
    assert exc_info.value.field == field


def test_a_record_without_limits_passes() -> None:
    check(types.ShownItem(item_id="", position=-1), now_ms=NOW_MS)


EVENTS = [
    types.Interaction, types.Location, types.Trigger, types.Profile, types.Impression, types.PushRequest
]  # fmt: skip
WANTED = "must be milliseconds since 1970 that lie between 1995 and five minutes from now"


@pytest.mark.parametrize(
    ("occurred_at", "hint"),
    [
        (1_732_854_000, "1732854000 looks like seconds"),
        (788_918_400, "788918400 looks like seconds"),
        (NOW_MS // 1_000, "looks like seconds"),
        (1_732_854_000_000_000, "1732854000000000 looks like microseconds"),
        (1_732_854_000_123_456, "looks like microseconds"),
        (1_732_854_000_000_000_000, "looks like nanoseconds"),
        (0, "not 0"),
        (-1, "not -1"),
        (-1_732_854_000_000, "not -1732854000000"),
        (1, "not 1"),
        (788_918_399_999, "not 788918399999"),
        (NOW_MS + FUTURE_MS + 1, "not 1800000300001"),
        (253_402_300_799_999, "not 253402300799999"),
        (2**53, "not 9007199254740992"),
        (2**63 - 1, "not 9223372036854775807"),
        (-(2**63), "not -9223372036854775808"),
    ],
)
@pytest.mark.parametrize("record", EVENTS, ids=lambda record: record.__name__)
def test_the_time_of_an_event_is_in_milliseconds(record: type, occurred_at: int, hint: str) -> None:
    with pytest.raises(OutOfRangeError, match=WANTED) as exc_info:
        check(a(record, occurred_at=occurred_at), now_ms=NOW_MS)
    assert exc_info.value.field == "occurred_at"
    assert WANTED in str(exc_info.value)
    assert str(exc_info.value).endswith(hint)


@pytest.mark.parametrize("days", [0.5, 30, 3_650, 36_500])
def test_an_event_may_be_as_old_as_the_setting_says(days: float) -> None:
    oldest = NOW_MS - int(days * 86_400_000)
    check_age(a(types.Interaction, occurred_at=oldest), NOW_MS, max_days=days)
    check_age(a(types.Item, created_at=0), NOW_MS, max_days=days)
    with pytest.raises(OutOfRangeError, match=f"is more than {days:g} days ago; EVENT_MAX_AGE_DAYS") as exc_info:
        check_age(a(types.Interaction, occurred_at=oldest - 1), NOW_MS, max_days=days)
    assert "producers of the topic" in str(exc_info.value)
