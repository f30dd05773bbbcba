"""Parameters of the cores, with the defaults of the settings."""

from infra.settings import Settings
from streams.roles.trainer.learner_params import learner_params
from streams.runtime.core_params import (
    home_mix,
    llm_blend_params,
    prefetch_params,
    push_params,
    rank_params,
    signal_params,
    user_params,
)

USER_PARAMS = user_params(Settings())
TRIGGER_PARAMS = USER_PARAMS.triggers
SIGNAL_PARAMS = signal_params(Settings())
RANK_PARAMS = rank_params(Settings())
LLM_BLEND_PARAMS = llm_blend_params(Settings())
PREFETCH_PARAMS = prefetch_params(Settings())
PUSH_PARAMS = push_params(Settings())
HOME_MIX = home_mix(Settings())
LEARNER_PARAMS = learner_params(Settings())
