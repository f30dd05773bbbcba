"""The labels of items that only their interactions describe."""

import pytest

from api.endpoints.event_body import InteractionBody
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from tests.build import T0_MS, an_interaction
from tests.params import USER_PARAMS


def test_the_documents_own_interaction_teaches_both_topics_and_the_source() -> None:
    event = InteractionBody(
        user_id="user123",
        item_id="article1",
        interaction_type="click",
        rating=4.5,
        context={"topics": ["technology", "ai"], "source": "tech-news"},
        session_id="session456",
        device_type="mobile",
    ).record(T0_MS)
    state = UserState("user123")
    user_state.fold(state, event, Position(0, 0, T0_MS), subject=ItemLabels.of_event(event), params=USER_PARAMS)
    assert state.topics == pytest.approx({"technology": 0.4, "ai": 0.4})
    assert state.sources == pytest.approx({"tech-news": 0.8})


@pytest.mark.parametrize(
    ("context", "labels"),
    [
        ({"category": "news", "topics": "a, b"}, ItemLabels("news", ("a", "b"))),
        ({"categories": '["news","films"]'}, ItemLabels("news")),
        ({"topics": '["ai"]', "source": "tech-news"}, ItemLabels("", ("ai",), "tech-news")),
        ({"source": "homepage", "device": "mobile"}, ItemLabels()),
    ],
)
def test_a_source_without_topics_or_category_says_where_the_user_came_from(
    context: dict[str, str], labels: ItemLabels
) -> None:
    assert ItemLabels.of_event(an_interaction(context=context)) == labels
