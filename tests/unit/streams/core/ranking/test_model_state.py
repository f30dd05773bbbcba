"""Versions on their way from the trainer to the workers and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msgspec import structs

from domain.timestamp import version_name
from infra.redis.stores.model_status import REFUSED
from models.blend.blender import Blender
from streams.core.learning.learner import Learner
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.model_state import restore_blender, unmatched_features
from streams.core.ranking.pipeline import MODEL, new_blender
from streams.roles.trainer.artifact_store import ArtifactStore
from streams.roles.trainer.candidate_fit import CandidateFit
from streams.roles.trainer.model_version import (
    REFUSED_MODEL,
    fitted_version,
    item_weight_rows,
    record,
    record_of,
)
from tests.build import T0_MS, a_version, an_item, whole


def test_a_version_goes_through_a_file_and_a_record_to_a_worker_unchanged(fit_learner: Learner, tmp_path: Path) -> None:
    fit_learner.repeats.restore(["places"], rates={}, visits={})
    version = a_version(metrics={"ndcg@10": 0.5}, request_ids=["one", "other"], events=fit_learner.events)
    shelf = ArtifactStore(tmp_path, artifacts_kept=3)
    shelf.put(fitted_version(version, fit_learner), serving=None)
    found_version = shelf.get("v1")
    assert found_version.version == version

    view, blender = CatalogSnapshot(), new_blender()
    for item in fit_learner.catalog.items.names:
        view.apply_item(an_item(item, category="all", topics=[], created_at=T0_MS - 1))
    for row in item_weight_rows(found_version):
        view.apply_weights(row)
    version_record = record_of(found_version)
    assert version_record.repeated_categories == ["places"]
    assert restore_blender(blender, version_record)
    np.testing.assert_array_equal(blender.table, fit_learner.blender.table)
    assert_same_fallback(blender, fit_learner.blender)
    numbers, tastes = fit_learner.catalog.item_weights.block()
    other = view.items.encode_known(fit_learner.catalog.items.names[number] for number in numbers.tolist())
    np.testing.assert_array_equal(view.item_weights.between(other, other), tastes)


def assert_same_fallback(blender: Blender, other: Blender) -> None:
    for name, sums in other.fallback.state().items():
        assert sums.any()
        np.testing.assert_array_equal(blender.fallback.state()[name], sums)
    np.testing.assert_array_equal(blender.fallback.shares, other.fallback.shares)


def test_a_version_from_before_the_fallback_has_no_leads(fit: CandidateFit) -> None:
    version = record(a_version(), list(fit.learner.blender.features), fit.learner.blender.state())
    blender = new_blender()
    assert restore_blender(blender, structs.replace(version, leads=[], lead_squares=[], judged=0.0))
    assert not any(sums.any() for sums in blender.fallback.state().values())


def test_a_refused_version_has_a_key_of_its_own_and_moves_no_worker(fit: CandidateFit) -> None:
    version_record = record(a_version(status=REFUSED), list(fit.learner.blender.features), fit.learner.blender.state())
    blender = new_blender()
    before = blender.table.copy()
    assert not restore_blender(blender, version_record)
    assert version_record.model == REFUSED_MODEL != MODEL
    np.testing.assert_array_equal(blender.table, before)


def test_a_blender_goes_on_as_if_it_had_not_stopped(fit: CandidateFit) -> None:
    version_record = record(a_version(), list(fit.learner.blender.features), fit.learner.blender.state())
    copy, going_on = new_blender(), fit.learner.blender
    assert restore_blender(copy, version_record)
    parts = np.random.default_rng(0).random((len(copy.features), 5), np.float32)
    successor = new_blender()
    successor.restore({name: array.copy() for name, array in going_on.state().items()})
    for blender in (copy, successor):
        blender.learn(whole(parts), 2, (1, 1, 1, 1))
    np.testing.assert_array_equal(copy.table, successor.table)


def test_weights_of_other_parts_are_left_alone(fit: CandidateFit) -> None:
    parts, state = list(fit.learner.blender.features), fit.learner.blender.state()
    blender = new_blender()
    assert not restore_blender(blender, record(a_version(), ["other"], state))
    assert not restore_blender(blender, record(a_version(), parts, state | {"table": state["table"][:-1]}))
    np.testing.assert_array_equal(blender.table, new_blender().table)


def test_weights_are_restored_by_the_names_of_their_features(fit: CandidateFit) -> None:
    features, state = list(fit.learner.blender.features), fit.learner.blender.state()
    rows = len(state["table"])
    order = [*range(len(features))][::-1]
    new_state = {name: state[name][..., order] for name in state if name not in {"outcomes", "judged"}}
    blender = new_blender()
    assert restore_blender(blender, record(a_version(), [features[number] for number in order], state | new_state))
    np.testing.assert_array_equal(blender.table, state["table"])
    np.testing.assert_array_equal(blender.scale, np.sqrt(state["scales"]))
    assert_same_fallback(blender, fit.learner.blender)

    old = ["gone", *features[1:]]  # a release before: without the first feature, and with one that is gone since
    blender, prior = new_blender(), new_blender().table
    version = record(a_version(), old, state)
    assert restore_blender(blender, version)
    np.testing.assert_array_equal(blender.table[:, 1:], state["table"][:, 1:])
    np.testing.assert_array_equal(blender.table[:, 0], prior[:, 0])
    assert blender.table.shape == (rows, len(features))
    assert (
        unmatched_features(blender, version)
        == f"it has no weights for {features[0]}; its weights for gone are not used"
    )
    assert unmatched_features(blender, record(a_version(), features, state)) == ""


def test_names_of_later_versions_sort_later() -> None:
    assert version_name(0) == "19700101T000000.000Z"
    assert version_name(T0_MS) < version_name(T0_MS + 1) < version_name(T0_MS + 1_000)
