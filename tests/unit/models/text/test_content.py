"""Text and content on a world of two subjects: even items speak of jazz, odd ones of pottery."""

from __future__ import annotations

import numpy as np
import pytest

from models.base import ModelEvent, ModelQuery
from models.text.content import ContentModel
from models.text.tfidf import DIMENSIONS, TfIdf, text_of
from schemas.types import Item

T0_MS = 1_700_000_000_000
JAZZ, POTTERY = "jazz trumpet concert improvised", "pottery clay wheel glaze"


def texts(count: int = 12) -> dict[str, str]:
    """Return texts of two subjects: three of the subject's four words and one of the item's own."""
    texts_by_item = {}
    for item in range(count):
        words = (POTTERY if item % 2 else JAZZ).split()
        del words[item // 2 % 4]
        texts_by_item[f"i{item}"] = " ".join([*words, f"number{item}"])
    return texts_by_item


def test_texts_of_one_subject_are_alike() -> None:
    encoder = TfIdf()
    encoder.fit(list(texts().values()))
    vectors = encoder.encode(list(texts().values()))
    assert vectors.shape == (12, DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(12), abs=1e-5)
    alike = vectors @ vectors.T
    same = np.add.outer(np.arange(12), np.arange(12)) % 2 == 0
    assert alike[same].min() > 0.2
    assert alike[~same].max() < 0.01


def test_with_all_dimensions_the_reduction_keeps_every_similarity() -> None:
    item_texts = list(texts().values())
    encoder = TfIdf()
    encoder.fit(item_texts)
    plain = encoder._table(item_texts).toarray()
    vectors = encoder.encode(item_texts)
    assert vectors @ vectors.T == pytest.approx(plain @ plain.T, abs=1e-5)


def test_only_the_words_that_most_texts_share_are_kept() -> None:
    encoder = TfIdf(features=1)
    encoder.fit(["clay wheel", "clay", "trumpet"])
    assert np.linalg.norm(encoder.encode(["clay", "wheel", "trumpet", ""]), axis=1).tolist() == [1.0, 0.0, 0.0, 0.0]


def test_no_texts_are_no_vectors() -> None:
    encoder = TfIdf()
    encoder.fit([])
    assert encoder.encode([]).shape == (0, DIMENSIONS)
    assert not encoder.encode(["anything at all"]).any()


def test_a_fit_is_the_same_when_done_again() -> None:
    item_texts, one, other = list(texts().values()), TfIdf(), TfIdf()
    one.fit(item_texts)
    other.fit(item_texts)
    assert one.encode(item_texts).tolist() == other.encode(item_texts).tolist()


def test_an_item_says_its_title_description_category_and_topics() -> None:
    item = Item(item_id="i", category="music", title="Kind of Blue", topics=["jazz", "modal"], created_at=0)
    assert text_of(item) == "Kind of Blue\nmusic\njazz\nmodal"


def test_what_is_like_the_last_liked_items_comes_first() -> None:
    model = ContentModel(TfIdf(), texts())
    model.learn([ModelEvent("u", f"i{item}", T0_MS, 1.0) for item in range(12)])
    matches = model.recommend([ModelQuery("a", (("i1", -1.0), ("i0", 1.0)), frozenset({"i0", "i1"}))], 5)[0]
    assert {int(item[1:]) % 2 for item in matches.items} == {0}
    assert model.name == "content-tf-idf"


def test_a_new_item_is_found_by_its_text_before_anyone_acted_on_it() -> None:
    model = ContentModel(TfIdf(), texts())
    model.learn([ModelEvent("u", f"i{item}", T0_MS, 1.0) for item in range(12)])
    model.describe({"new": POTTERY})
    query = ModelQuery("a", (("i1", 1.0),), frozenset({"i1"}))
    assert "new" in model.nearest(query, 3).items
    assert "new" not in model.items.names
    model.learn([ModelEvent("u", "new", T0_MS, 1.0)])
    assert "new" in model.recommend([query], 3)[0].items


def test_a_text_that_came_after_the_events_counts_like_one_that_came_before() -> None:
    early, late = ContentModel(TfIdf(), texts()), ContentModel(TfIdf())
    for model in (early, late):
        model.learn([ModelEvent("u", f"i{item}", T0_MS, 1.0) for item in range(12)])
    late.describe(texts())
    query = [ModelQuery("a", (("i1", 1.0),))]
    assert late.scores(query).tolist() == early.scores(query).tolist()


def test_a_text_replaces_the_earlier_one() -> None:
    model = ContentModel(TfIdf(), texts())
    model.learn([ModelEvent("u", f"i{item}", T0_MS, 1.0) for item in range(12)])
    model.describe({"i2": POTTERY})
    assert "i2" in model.nearest(ModelQuery("a", (("i1", 1.0),), frozenset({"i1"})), 6).items


def test_items_without_a_text_have_no_score_and_who_liked_nothing_known_gets_the_popular() -> None:
    model = ContentModel(TfIdf(), texts())
    model.learn([ModelEvent("u", "i0", T0_MS, 1.0), ModelEvent("u", "silent", T0_MS, 2.0)])
    scores, unknown = model.scores([ModelQuery("a", (("i0", 1.0),)), ModelQuery("b", (("silent", 1.0),))])
    assert np.isfinite(scores).tolist() == [True, False]
    assert unknown[1] > unknown[0]
    assert list(model.nearest(ModelQuery("b"), 3).items) == []
