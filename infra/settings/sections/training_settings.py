"""Settings of the trainer, and hyperparameters of the models that it can fit."""

from __future__ import annotations

from dataclasses import dataclass

from domain.experiment_results import guardrail_limits
from infra.settings.setting import NOT_NEGATIVE, POSITIVE, Constraint, between, one_of, setting


def _are_guardrails(text: str) -> bool:
    try:
        guardrail_limits(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Training."""

    trainer_batch_events: int = setting(
        50, "records that the trainer learns, and events that a fit learns, in one go before other tasks", POSITIVE
    )
    trainer_users: int = setting(
        200_000,
        "users whose own weights the trainer keeps, those with the newest choices, at some 1 KB each; and users whose"
        " states a fit keeps, those active last, at some 2 KB each",
        POSITIVE,
    )
    model_publish_interval_s: float = setting(
        5.0,
        "seconds between publications of weights learned online; 0: only full fits change the weights",
        NOT_NEGATIVE,
    )
    model_fit_interval_s: float = setting(
        3_600.0, "seconds between fits of the model to the newest events; 0: only on request", NOT_NEGATIVE
    )
    model_full_fit_interval_s: float = setting(
        86_400.0, "seconds between full fits to all events; 0: only on request", NOT_NEGATIVE
    )
    model_fit_events: int = setting(200_000, "number of newest events for fits between full fits", POSITIVE)
    model_promotion_tolerance: float = setting(
        0.02,
        "share of NDCG@10 by which a new fit may be worse than the version in service",
        Constraint(lambda share: 0 <= share < 1, "in [0, 1)"),
    )
    model_path: str = setting("", "folder of the versions of models; empty: the folder models in MILLRACE_HOME")
    model_artifacts_kept: int = setting(10, "number of model versions to keep in MODEL_PATH", POSITIVE)
    experiment_guardrails: str = setting(
        "click_through_rate:-0.2",
        "lifts of metrics beyond which an arm of an experiment is paused, as METRIC:LIFT separated by commas, or none",
        Constraint(_are_guardrails, "none, or METRIC:LIFT separated by commas, with metrics of experiment results"),
    )
    item_item_model: str = setting("ease", "model of the item-to-item weights, by its name in docs/models.md")
    collaborative_factors: int = setting(
        100, "number of factors per item, if ITEM_ITEM_MODEL is als or pure-svd", POSITIVE
    )
    collaborative_regularization: float = setting(
        0.01, "regularization of the factors, if ITEM_ITEM_MODEL is als", POSITIVE
    )
    embedding_dim: int = setting(128, "dimension of the embeddings of users and items", between(1, 4_000))
    encoder: str = setting(
        "none",
        "network that serves users by their own vectors: none, sequence, deep, lightgcn or dot-product. Learning it in"
        " the role encoder and in the trainer's fits takes the extra train; other processes need none",
        one_of("none", "sequence", "deep", "lightgcn", "dot-product"),
    )
    encoder_publish_interval_s: float = setting(
        600.0, "seconds between decisions of the role encoder on a new version of its network", POSITIVE
    )
    encoder_events: int = setting(
        100_000, "newest interactions that the role encoder keeps in memory to learn from", POSITIVE
    )
    batch_size: int = setting(
        32,
        "events per training step, if ENCODER is deep or sequence",
        Constraint(lambda events: events >= 2, "2 or more"),
    )
    learning_rate: float = setting(0.001, "learning rate, if ENCODER is deep or sequence", POSITIVE)
    tfidf_max_features: int = setting(
        10_000, "maximum number of words for TF-IDF, in a shop and if ITEM_ITEM_MODEL is content", POSITIVE
    )
    content_embedding_dim: int = setting(384, "dimension of text embeddings, if ITEM_ITEM_MODEL is content", POSITIVE)
