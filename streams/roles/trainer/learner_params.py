"""Parameters of the learner, from the settings; separate from `core_params`, so that feed workers import no learner."""

from __future__ import annotations

from infra.settings import Settings
from streams.core.learning.learner import LearnerParams
from streams.roles.trainer.item_weight_models import item_weights_builder
from streams.runtime.core_params import private_stats_params, rank_params, signal_params, user_params
from streams.runtime.encoder_models import encoder_builder


def learner_params(settings: Settings) -> LearnerParams:
    """Return the parameters of the learner; it folds and ranks as the agents do.

    Raises:
        OperatorError: the settings name a model that cannot provide item weights, or a network without torch.
    """
    return LearnerParams(
        user=user_params(settings),
        signal=signal_params(settings),
        rank=rank_params(settings),
        cooccurrence_half_life_days=settings.cooccurrence_half_life_days,
        embedding_dim=settings.embedding_dim,
        item_weights=item_weights_builder(settings),
        private_stats=private_stats_params(settings),
        encoder=encoder_builder(settings),
        max_users=settings.trainer_users,
    )
