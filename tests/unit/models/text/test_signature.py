"""Vectors of what items say of themselves."""

from typing import Any

import numpy as np
import pytest

from models.text.signature import DIMENSIONS, Vector, signature


def of(item_id: str = "i1", **value: Any) -> Vector:
    return signature(item_id, **({"title": "", "category": "", "topics": []} | value))


def test_items_are_the_more_alike_the_more_they_share() -> None:
    one = of(title="Night of the saxophone", category="music", topics=["jazz", "live"])
    alike = [
        one @ other
        for other in (
            one,
            of("i2", title="Night of the saxophone", category="music", topics=["jazz", "live"]),
            of("i3", title="Trumpets", category="music", topics=["jazz"]),
            of("i4", title="Walking", category="places", topics=["nature"]),
        )
    ]
    assert alike[0] == pytest.approx(1.0)
    assert alike == sorted(alike, reverse=True)
    assert alike[1] > 0.6 > alike[2] > 0.2 > abs(alike[3])


def test_similarity_is_that_of_the_words() -> None:
    errors = []
    for number in range(300):
        group = number % 12
        one = of("one", title=" ".join(f"word{number}of{place}" for place in range(12)))
        other = of("other", title=" ".join(f"word{number}of{place}" for place in range(12 - group, 24 - group)))
        errors.append(one @ other - group / 16)
    assert abs(np.mean(errors)) < 0.02
    assert np.std(errors) < 1.5 / np.sqrt(DIMENSIONS)


def test_who_says_little_is_like_nobody() -> None:
    items = [
        of(f"i{number}", title="A walk in the hills", category="places", topics=["nature"]) for number in range(50)
    ]
    for quiet in (of("quiet"), of("quiet", category="places")):
        assert max(quiet @ item for item in items) < min(one @ other for one in items for other in items)


def test_a_topic_is_not_a_word_of_the_title_nor_a_category() -> None:
    answer = (of(title="jazz"), of(category="jazz"), of(topics=["jazz"]))
    words = [one - of() * (one @ of()) for one in answer]
    assert all(abs(words[one] @ words[other]) < 0.1 for one, other in ((0, 1), (0, 2), (1, 2)))


def test_vectors_are_the_same_in_every_process() -> None:
    vector = of("i1", title="Saxophone", category="music", topics=["jazz"])
    assert "".join("+-"[int(sign < 0)] for sign in vector[:16]) == "-++-+-++---+++--"
