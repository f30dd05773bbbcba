"""Restoring the model of a worker or a trainer."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from infra.redis.stores.model_status import REFUSED
from schemas.types import ModelVersion
from streams.core.ranking.pipeline import new_blender
from streams.roles.trainer.candidate_fit import CandidateFit
from streams.roles.trainer.model_version import record
from streams.runtime.state.model_restore import restore_and_log
from tests.build import a_version


def test_features_that_differ_are_named_in_the_log(fit: CandidateFit, caplog: pytest.LogCaptureFixture) -> None:
    features, state = list(fit.learner.blender.features), fit.learner.blender.state()
    assert restore_and_log(new_blender(), record(a_version(), features, state))
    assert not caplog.messages
    assert restore_and_log(new_blender(), record(a_version(), ["gone", *features[1:]], state))
    assert features[0] in caplog.text
    assert "gone" in caplog.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda version: msgspec.structs.replace(version, model="blend-0"), "of the model blend-0"),
        (lambda version: msgspec.structs.replace(version, weights=version.weights[1:]), "contexts"),
        (
            lambda version: msgspec.structs.replace(version, parts=[f"old_{name}" for name in version.parts]),
            "other names",
        ),
    ],
    ids=["another model", "other contexts", "no feature in common"],
)
def test_the_log_says_why_no_weight_of_a_version_fits(
    fit: CandidateFit, caplog: pytest.LogCaptureFixture, change: Callable[[ModelVersion], ModelVersion], reason: str
) -> None:
    blender = new_blender()
    version = change(record(a_version(), list(blender.features), fit.learner.blender.state()))
    before = blender.table.copy()
    assert not restore_and_log(blender, version)
    assert (blender.table == before).all()
    assert "the weights of version v1 are not used" in caplog.text
    assert reason in caplog.text


def test_a_refused_version_is_passed_over_in_silence(fit: CandidateFit, caplog: pytest.LogCaptureFixture) -> None:
    blender = new_blender()
    assert not restore_and_log(blender, record(a_version(status=REFUSED), list(blender.features), blender.state()))
    assert not caplog.messages
