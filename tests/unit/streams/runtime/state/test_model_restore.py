"""Restoring the model of a worker or a trainer."""

from __future__ import annotations

import pytest

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
