"""Evaluation of new items: how well mapped embeddings order items without events for the users who like them.

A fifth of the items is held out: nothing is learned from the events on them. The others are learned as a worker learns
them. Then the held-out items are ordered for each user who liked some of them.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from evaluation.contestants.blend import interaction
from evaluation.protocols.stream import Stream
from infra.settings import Settings
from models.factorization.item_embeddings import Indices, Vector
from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.roles.trainer.learner_params import learner_params

_HELD_OUT = 0.2


class NewItemReport(msgspec.Struct, frozen=True):
    """Shares of pairs in the right order, of an item that a user liked and another; 0.5 by chance."""

    held_out_items: int
    choices: int
    """Number of liked held-out items, over all users."""
    trust: tuple[float, float]
    """Damping factors of the mapped embeddings and biases; 0 where texts tell nothing."""
    by_mapped: float
    """Share of the pairs that mapped embeddings put in the right order."""
    by_text: float
    """The same for the cosine of an item's text with those of the user's last items."""


def measure(stream: Stream, *, seed: int) -> NewItemReport:
    """Return how well new items of a stream are ordered.

    Args:
        stream: The events, with a catalogue.
        seed: Random seed of the held-out items.
    """
    known_ids = {item.item_id for item in stream.catalogue}
    known_items = [number for number, item_id in enumerate(stream.items) if item_id in known_ids]
    is_held_out = np.zeros(len(stream.items), bool)
    draw = np.random.default_rng(seed)
    is_held_out[draw.choice(known_items, int(_HELD_OUT * len(known_items)), replace=False)] = True
    learner = _learned(stream, is_held_out)
    catalog = learner.catalog
    new_items = catalog.items.encode([stream.items[item] for item in np.flatnonzero(is_held_out).tolist()])
    new_texts = catalog.content_index.vectors(new_items)
    places = {item: place for place, item in enumerate(np.flatnonzero(is_held_out).tolist())}
    likes: dict[int, set[int]] = {}
    for event in np.flatnonzero(is_held_out[stream.item] & stream.positive).tolist():
        likes.setdefault(int(stream.user[event]), set()).add(places[int(stream.item[event])])
    shares: list[tuple[float, float]] = []
    for user, liked_places in likes.items():
        recent = learner.features(stream.users[user]).recent
        history = catalog.items.encode([entry.item_id for entry in recent[: catalog.embeddings.config.context]])
        person = catalog.embeddings.user(history)
        if person is None:
            continue
        liked_items = np.array(sorted(liked_places), np.int32)
        by_mapped = catalog.embeddings.scores(person, new_items, count=len(catalog.items))
        by_text = new_texts @ catalog.content_index.vectors(history).sum(axis=0)
        shares += zip(_shares(by_mapped, liked_items), _shares(by_text, liked_items), strict=True)
    means = np.mean(shares, axis=0) if shares else np.full(2, 0.5)
    return NewItemReport(
        held_out_items=len(new_items),
        choices=len(shares),
        trust=catalog.mapped_embeddings.trust,
        by_mapped=round(float(means[0]), 4),
        by_text=round(float(means[1]), 4),
    )


def _learned(stream: Stream, is_held_out: NDArray[np.bool_]) -> Learner:
    """Return a learner of the events on the other items, which knows all items."""
    learner = Learner(learner_params(Settings()), refits_item_weights=False)
    for item in stream.catalogue:
        learner.catalog.apply_item(item)
    for number, event in enumerate(stream.events):
        if not is_held_out[stream.item[number]]:
            learner.learn(interaction(event, number), Position(0, number, number), learn_weights=False)
    while learner.catalog.refresh():
        pass
    return learner


def _shares(scores: Vector, liked_items: Indices) -> list[float]:
    """Return for each liked item the share of the others with lower scores; equal ones count half."""
    others = np.sort(np.delete(scores, liked_items))
    if not len(others):
        return [0.5] * len(liked_items)
    lower, not_higher = (np.searchsorted(others, scores[liked_items], side=side) for side in ("left", "right"))
    return list((lower + not_higher) / (2 * len(others)))
