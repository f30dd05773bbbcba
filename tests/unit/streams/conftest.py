import pytest

from streams.core.learning.learner import Learner
from streams.roles.trainer.candidate_fit import CandidateFit
from tests.unit.streams.builder import World, a_world, taught


@pytest.fixture(scope="session")
def world() -> World:
    return a_world()


@pytest.fixture(scope="session")
def fit(world: World) -> CandidateFit:
    return taught(*world)


@pytest.fixture(scope="session")
def fit_learner(fit: CandidateFit) -> Learner:
    """What the fit has learned, with its item weights; a fit ends only once."""
    return fit.end()
