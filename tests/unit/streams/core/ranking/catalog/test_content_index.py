"""What is said to be like what, as the catalogue changes."""

import numpy as np

from streams.core.ranking.catalog.content_index import ContentIndex
from tests.build import an_item


def told(likeness: ContentIndex, *items: int, topic: str) -> None:
    for item in items:
        likeness.put(item, an_item(f"i{item}", topics=[topic]))


def nearest(likeness: ContentIndex, item: int, most: int) -> set[int]:
    return set(likeness.nearest(np.array([item], np.int32), most).tolist())


def test_items_of_one_topic_are_near_each_other() -> None:
    likeness = ContentIndex()
    told(likeness, *range(10), topic="jazz")
    told(likeness, *range(10, 100), topic="chess")
    assert not likeness.catch_up()
    assert nearest(likeness, 7, 9) == set(range(10)) - {7}
    both = likeness.nearest(np.array([7, 12], np.int32), 10).tolist()
    assert [item < 10 for item in both] == [True] * 5 + [False] * 5, "each has its share"


def test_an_item_that_changes_or_goes_is_no_longer_found_as_it_was() -> None:
    likeness = ContentIndex()
    told(likeness, 1, 2, 3, topic="jazz")
    likeness.catch_up()
    assert nearest(likeness, 1, 2) == {2, 3}
    told(likeness, 2, topic="chess")
    likeness.remove(3)
    told(likeness, 4, topic="jazz")
    likeness.catch_up()
    assert nearest(likeness, 1, 1) == {4}, "its list is made again"


def test_a_large_catalogue_is_taken_in_bit_by_bit() -> None:
    likeness = ContentIndex()
    told(likeness, *range(600), topic="jazz")
    assert [likeness.catch_up() for _ in range(4)] == [True, True, False, False]
    assert [len(nearest(likeness, item, 5)) for item in range(0, 600, 50)] == [5] * 12


def test_nothing_is_like_an_item_that_is_not_there() -> None:
    likeness = ContentIndex()
    told(likeness, 2, topic="jazz")
    likeness.catch_up()
    assert nearest(likeness, 99, 5) == set()


def test_an_item_that_comes_is_found_near_the_others() -> None:
    likeness = ContentIndex()
    told(likeness, 1, 2, 3, topic="jazz")
    likeness.catch_up()
    assert nearest(likeness, 1, 5) == {2, 3}
    told(likeness, 4, topic="jazz")
    likeness.catch_up()
    assert nearest(likeness, 1, 5) == {2, 3, 4}
