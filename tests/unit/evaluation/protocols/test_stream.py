import numpy as np
import pytest

from evaluation.protocols.stream import of_dataset, scale_of
from loaders import Dataset
from tests.build import an_interaction
from tests.unit.evaluation.builder import a_stream


@pytest.mark.parametrize(
    ("stars", "scale"),
    [
        ([1, 5], 5.0),
        ([0.5, 4.5], 5.0),
        ([0, 1], 1.0),
        ([1, 9], 10.0),
        ([3, 90], 100.0),
        ([1, 1], 0.0),
        ([1, 4000], 0.0),
    ],
)
def test_the_scale_of_ratings_is_read_from_them(stars: list[float], scale: float) -> None:
    assert scale_of(np.array(stars, np.float64)) == scale


def test_the_scale_may_be_named() -> None:
    data = Dataset(
        name="few",
        items=[],
        profiles=[],
        interactions=[an_interaction(action="rate", value=value, item_id=f"i{value:g}") for value in (1.0, 4.0, 5.0)],
    )
    assert of_dataset(data).positive.tolist() == [False, True, True]
    stream = of_dataset(data, rating_scale=10.0)
    assert stream.positive.tolist() == [False, False, False]
    assert [event.weight for event in stream.events] == pytest.approx([-0.8, -0.2, 0.0])


def test_four_of_five_is_positive_on_every_scale() -> None:
    stars = (1.0, 3.5, 4.0, 5.0)
    for factor in (1.0, 2.0, 20.0):
        stream = a_stream(*[("a", f"i{n}", star * factor, n) for n, star in enumerate(stars)])
        assert stream.positive.tolist() == [False, False, True, True]
        assert stream.rating.tolist() == [0.0, 0.625, 0.75, 1.0]
        assert [event.weight for event in stream.events] == pytest.approx([-0.6, 0.4, 0.6, 1.0])


def test_without_ratings_that_differ_every_event_is_positive() -> None:
    for stars in (None, 1.0):
        stream = a_stream(("a", "x", stars, 1), ("b", "x", stars, 2))
        assert stream.positive.all()
        assert not stream.has_ratings
        assert [(event.weight, event.rating) for event in stream.events] == [(1.0, None)] * 2


def test_items_repeat_when_a_noticeable_share_of_events_does() -> None:
    once = [("a", f"i{n}", None, n) for n in range(200)]
    assert not a_stream(*once, *[("a", "i0", None, 200)] * 2).repeats
    assert a_stream(*once, *[("a", "i0", None, 200)] * 3).repeats
    assert not a_stream(*once, *[("a", "i0", None, 200)] * 3, repeats=False).repeats
    assert a_stream(*once, repeats=True).repeats
