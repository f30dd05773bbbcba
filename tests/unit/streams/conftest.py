import pytest

from streams.roles.trainer.candidate_fit import CandidateFit
from tests.unit.streams.builder import World, a_world, taught


@pytest.fixture(scope="session")
def world() -> World:
    return a_world()


@pytest.fixture(scope="session")
def fit(world: World) -> CandidateFit:
    return taught(*world)
