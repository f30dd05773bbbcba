"""Item embeddings: learned in mini-batches, by one process or by several that share a space."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from models.factorization.item_embeddings import EmbeddingConfig, Indices, ItemEmbeddings, first_embedding
from models.vocabulary import Vocabulary

CONFIG = EmbeddingConfig(dimensions=16, negatives=8, replay_capacity=256)
GROUPS, IN_GROUP = 3, 6
ITEMS = GROUPS * IN_GROUP


def names() -> Vocabulary:
    vocabulary = Vocabulary()
    for number in range(ITEMS):
        vocabulary.add(f"i{number}")
    return vocabulary


def embeddings() -> ItemEmbeddings:
    return ItemEmbeddings(names(), CONFIG)


def history(draw: np.random.Generator) -> Indices:
    """Return distinct items of one group, in random order."""
    return (draw.permutation(IN_GROUP)[:4] + IN_GROUP * draw.integers(GROUPS)).astype(np.int32)


def teach(*parts: ItemEmbeddings, examples: int = 1_500, batch: int = 16) -> None:
    """Teach examples; with several parts, each owns every second item and reads the others' embeddings."""
    draw = np.random.default_rng(0)
    for number in range(examples):
        item, *context = history(draw).tolist()
        for rank, part in enumerate(parts):
            part.add(item, np.array(context, np.int32), 1.0, is_own=item % len(parts) == rank)
        if number % batch == batch - 1:
            for part in parts:
                part.learn()
            exchange(parts)


def exchange(parts: tuple[ItemEmbeddings, ...]) -> None:
    for part in parts if len(parts) > 1 else ():
        for item in part.drain(ITEMS):
            for other in parts:
                if other is not part:
                    other.put(item, *part.embedding(item))


def share_in_group(one: ItemEmbeddings) -> float:
    """Return the share of groups whose items score highest for a user with one item of the group."""
    hits = 0
    for item in range(ITEMS):
        user = one.user(np.array([item], np.int32))
        assert user is not None
        scores = one.scores(user, slice(None), count=ITEMS)
        scores[item] = -np.inf
        hits += int(scores.argmax()) // IN_GROUP == item // IN_GROUP
    return hits / ITEMS


def test_items_of_the_same_histories_score_highest() -> None:
    one = embeddings()
    teach(one)
    assert share_in_group(one) == 1.0


def test_two_processes_that_exchange_their_embeddings_learn_one_space() -> None:
    parts = embeddings(), embeddings()
    teach(*parts)
    for part in parts:
        assert share_in_group(part) >= 0.9


def test_received_embeddings_are_read_and_never_changed() -> None:
    one = embeddings()
    vector = np.full(CONFIG.dimensions, 0.5, np.float32)
    one.put(1, vector, 2.0)
    for _ in range(20):
        one.add(0, np.array([1], np.int32), 1.0)
        one.add(2, np.array([0], np.int32), 1.0)
    one.learn()
    received_vector, bias = one.embedding(1)
    assert_array_equal(received_vector, vector)
    assert bias == 2.0
    assert one.drain(ITEMS) == [0, 2]


def test_an_item_that_is_learned_elsewhere_is_no_example() -> None:
    one = embeddings()
    one.add(0, np.array([1], np.int32), 1.0, is_own=False)
    assert not one.waiting
    one.learn()
    assert not one.changed_count


def test_an_item_has_an_embedding_from_its_first_event_on() -> None:
    one = embeddings()
    one.add(3, np.empty(0, np.int32), 1.0)
    assert one.has(np.array([3, 4, 100], np.int32)).tolist() == [True, False, False]
    assert_array_equal(one.embedding(3)[0], first_embedding("i3", CONFIG.dimensions))


def test_first_embeddings_depend_on_the_id_alone() -> None:
    assert_array_equal(first_embedding("a", 8), first_embedding("a", 8))
    assert not np.array_equal(first_embedding("a", 8), first_embedding("b", 8))


def test_a_user_is_made_of_the_items_that_have_an_embedding() -> None:
    one = embeddings()
    vector = np.arange(CONFIG.dimensions, dtype=np.float32)
    one.put(2, vector, 0.0)
    user = one.user(np.array([9, 2], np.int32))
    assert user is not None
    discount = np.float32(CONFIG.position_discount)
    np.testing.assert_allclose(user, vector * np.sqrt(discount), rtol=1e-6)
    assert one.user(np.array([9], np.int32)) is None
    assert one.user(np.empty(0, np.int32)) is None


def test_a_score_is_the_inner_product_plus_the_bias_and_zero_without_an_embedding() -> None:
    one = embeddings()
    one.put(1, np.ones(CONFIG.dimensions, np.float32), 0.25)
    user = np.full(CONFIG.dimensions, 0.5, np.float32)
    assert one.scores(user, np.array([0, 1, 17], np.int32), count=ITEMS).tolist() == [0.0, 8.25, 0.0]
    assert one.scores(user, slice(None), count=ITEMS).tolist() == [0.0, 8.25, *[0.0] * (ITEMS - 2)]


def test_a_removed_embedding_is_gone_and_not_sampled() -> None:
    one = embeddings()
    teach(one, examples=64)
    one.drain(ITEMS)
    one.remove(0)
    assert not one.has(np.array([0], np.int32)).any()
    for _ in range(32):
        one.add(2, np.array([1], np.int32), 1.0)
    one.learn()
    assert one.scores(np.ones(CONFIG.dimensions, np.float32), np.array([0], np.int32), count=ITEMS) == [0.0]


def test_the_same_examples_give_the_same_embeddings() -> None:
    one, other = embeddings(), embeddings()
    teach(one, examples=640)
    teach(other, examples=640)
    for item in range(ITEMS):
        assert_array_equal(one.embedding(item)[0], other.embedding(item)[0])


def test_only_the_last_examples_are_replayed() -> None:
    one = embeddings()
    teach(one, examples=2 * CONFIG.replay_capacity)
    assert len(one._items) == CONFIG.replay_capacity


def test_an_embedding_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        embeddings().put(0, np.ones(3, np.float32), 0.0)


def test_examples_wait_for_their_mini_batch_and_are_learned_at_once() -> None:
    one = embeddings()
    one.add(0, np.array([1], np.int32), 1.0)
    one.add(1, np.array([2], np.int32), 1.0)
    before = [one.embedding(item)[0].copy() for item in (0, 1)]
    assert one.waiting == 2
    one.learn()
    assert one.waiting == 0
    assert all((one.embedding(item)[0] != before[item]).any() for item in (0, 1))
    alone = embeddings()
    for item in (0, 1):
        alone.add(item, np.array([item + 1], np.int32), 1.0)
        alone.learn()
    assert (one.embedding(1)[0] != alone.embedding(1)[0]).any(), "a mini-batch is not its examples one by one"
