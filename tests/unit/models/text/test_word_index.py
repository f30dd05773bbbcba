"""Texts with rare words in common are similar; common words and short texts say less."""

import pytest

from models.text.word_index import TEXT_WORDS, WordIndex, words_of

JAZZ = "the late-night recordings of a jazz quartet in the basements of the city"
ALIKE = "jazz recordings from the basements, late at night, by a quartet of friends"
OTHER = "the art of the bread and of the oven in the kitchen of a friend"


def test_rare_words_in_common_count_more_than_common_ones() -> None:
    index = WordIndex()
    for number in range(20):
        index.put(number, f"the text of a thing in the world {number}")
    [[alike], [other]] = index.similarities([words_of(ALIKE), words_of(OTHER)], [words_of(JAZZ)])
    assert alike > 0.3
    assert other < 0.1


def test_the_same_text_is_wholly_similar_unless_it_is_short() -> None:
    index = WordIndex()
    assert index.similarities([words_of(JAZZ)], [words_of(JAZZ)])[0, 0] == pytest.approx(1.0)
    assert index.similarities([words_of("blue")], [words_of("blue")])[0, 0] < 0.2


def test_nothing_is_similar_to_nothing() -> None:
    index = WordIndex()
    assert index.similarities([words_of(""), words_of(JAZZ)], [words_of("")]).tolist() == [[0.0], [0.0]]
    assert index.similarities([], [words_of(JAZZ)]).shape == (0, 1)
    assert len(index.words(-1)) == len(index.words(7)) == 0


def test_a_replaced_text_leaves_no_counts() -> None:
    one, other = WordIndex(), WordIndex()
    one.put(0, JAZZ)
    one.put(0, OTHER)
    one.put(1, ALIKE)
    one.put(1, "")
    other.put(0, OTHER)
    pair = [words_of(JAZZ), words_of(OTHER)]
    assert one.similarities(pair, pair).tolist() == other.similarities(pair, pair).tolist()


def test_the_words_of_a_text_are_bounded() -> None:
    assert len(words_of(" ".join(f"word{number}" for number in range(1_000)))) <= TEXT_WORDS
