"""What a user likes on one device, at one time of day, in one place."""

import pytest

from domain.timestamp import HOUR_MS
from schemas.types import Interaction
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.user import user_state
from streams.core.user.situation import SITUATION_LABELS, SITUATIONS, add_affinities, stated_situations
from streams.core.user.user_state import UserState
from tests.build import T0_MS, an_interaction
from tests.params import USER_PARAMS

NEWS, FILMS = ItemLabels("news", ("politics",)), ItemLabels("", ("films", "drama"))
MIDNIGHT_MS = T0_MS // (24 * HOUR_MS) * 24 * HOUR_MS


def fold_all(*events: tuple[Interaction, ItemLabels], state: UserState | None = None) -> UserState:
    state = state or UserState("u1", timezone="UTC")
    for offset, (event, subject) in enumerate(events):
        user_state.fold(state, event, Position(0, offset, T0_MS), subject=subject, params=USER_PARAMS)
    return state


@pytest.mark.parametrize(
    ("context", "situations"),
    [
        ({"device_type": "Mobile", "location": "US"}, ["device_type=mobile", "location=us"]),
        ({"Device": "TV", "time_of_day": '["Evening"]'}, ["device_type=tv", "time_of_day=evening"]),
        ({"surface": "home", "location": ""}, []),
    ],
)
def test_a_context_states_situations_in_any_case(context: dict[str, str], situations: list[str]) -> None:
    assert stated_situations(context) == situations


def test_an_action_counts_on_its_device_and_at_its_time_of_day() -> None:
    morning, evening = MIDNIGHT_MS + 8 * HOUR_MS, MIDNIGHT_MS + 20 * HOUR_MS
    state = fold_all(
        (an_interaction(occurred_at=morning, context={"device_type": "mobile"}), NEWS),
        (an_interaction(occurred_at=evening, context={"device_type": "tv", "time_of_day": "late"}), FILMS),
    )
    affinities = user_state.snapshot(state, USER_PARAMS).situation_affinities
    assert set(affinities) == {"device_type=mobile", "time_of_day=morning", "device_type=tv", "time_of_day=late"}
    assert affinities["device_type=mobile"] == affinities["time_of_day=morning"]
    assert set(affinities["device_type=mobile"]) == {"news"}
    assert affinities["device_type=tv"] == pytest.approx({"films": 0.5, "drama": 0.5})
    assert affinities["device_type=mobile"]["news"] < 1.0  # decayed since the morning
    assert state.situation == ["device_type=tv", "time_of_day=late"]


def test_the_time_of_day_is_that_of_the_users_clock() -> None:
    state = fold_all(
        (an_interaction(occurred_at=MIDNIGHT_MS + 23 * HOUR_MS), NEWS), state=UserState("u1", timezone="Asia/Tokyo")
    )
    assert (list(state.situation_affinities), state.situation) == (["time_of_day=morning"], [])


def test_a_late_event_teaches_and_leaves_the_present_situation() -> None:
    state = fold_all(
        (an_interaction(occurred_at=MIDNIGHT_MS + 20 * HOUR_MS, context={"device_type": "tv"}), FILMS),
        (an_interaction(occurred_at=MIDNIGHT_MS + 8 * HOUR_MS, context={"device_type": "mobile"}), NEWS),
    )
    assert state.situation == ["device_type=tv", "time_of_day=evening"]
    assert "device_type=mobile" in state.situation_affinities


def test_situations_and_their_labels_are_bounded() -> None:
    affinities: dict[str, dict[str, float]] = {}
    for number in range(SITUATIONS + 3):
        add_affinities(affinities, ["device_type=tv", f"location={number}"], NEWS, 1.0)
    for number in range(SITUATION_LABELS + 3):
        add_affinities(affinities, ["device_type=tv"], ItemLabels(f"category-{number}"), 2.0 + number)
    assert len(affinities) == SITUATIONS
    assert "location=0" not in affinities
    assert len(affinities["device_type=tv"]) == SITUATION_LABELS
    assert "news" in affinities["device_type=tv"]  # of fifteen actions
    assert "category-0" not in affinities["device_type=tv"]
    add_affinities(affinities, ["device_type=tv"], ItemLabels("", ("語" * 256, "学" * 256, "文" * 256)), 100.0)
    assert sum(len(name.encode()) for name in affinities["device_type=tv"]) <= 2 << 10
