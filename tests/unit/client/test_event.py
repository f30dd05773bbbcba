"""Events and the requests that carry them."""

from millrace_client import Interaction, Location
from millrace_client.event import BATCH, publish_requests


def a_click() -> Interaction:
    return Interaction(user_id="ann", item_id="i1", action="click")


def test_many_interactions_go_in_batches_the_api_takes() -> None:
    results = [path for path, _ in publish_requests(a_click() for _ in range(2 * BATCH + 1))]
    assert results == ["/interaction/batch", "/interaction/batch", "/interaction"]


def test_an_event_keeps_its_id_and_hides_where_somebody_is() -> None:
    one, other = a_click(), a_click()
    assert one.event_id != other.event_id
    assert abs(one.occurred_at - other.occurred_at) < 60_000
    assert "38.7" not in repr(Location(user_id="ann", lat=38.7, lon=-9.1))
