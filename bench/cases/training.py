"""Training on 1,000 interactions: a full fit as the trainer runs it, and the network of Context IQ's document.

Both run in this process, without servers.
"""

from __future__ import annotations

import time
from importlib.util import find_spec

from bench.load import EventLoad
from bench.rig import OnBenchProgress
from domain.timestamp import HOUR_MS
from infra.settings import Settings
from models.base import ModelEvent
from models.weight import event_rating, event_weight
from streams.core.position import Position
from streams.roles.trainer.candidate_fit import CandidateFit
from streams.roles.trainer.learner_params import learner_params
from streams.runtime.encoder_models import encoder_builder


def measure(load: EventLoad, settings: Settings, *, on_progress: OnBenchProgress) -> dict[str, float]:
    """Return the seconds of a full fit and, where torch is installed, of five epochs of the dot-product network."""
    figures = {"events": load.size.events, "fit_s": _fit(load, settings, on_progress)}
    return figures | ({"network_s": _network(load, on_progress)} if find_spec("torch") is not None else {})


def _fit(load: EventLoad, settings: Settings, on_progress: OnBenchProgress) -> float:
    """Return the seconds of a fit of item links, item weights and the weights of features."""
    on_progress("fit the model", 0, 0)
    events, catalogue = list(load.history()), {item.item_id: item for item in load.items}
    began_s = time.perf_counter()
    fit = CandidateFit(learner_params(settings), catalogue, (), total=len(events))
    for number, event in enumerate(events):
        fit.learn(event, Position(0, number, event.occurred_at))
    fit.end()
    return round(time.perf_counter() - began_s, 3)


def _network(load: EventLoad, on_progress: OnBenchProgress) -> float:
    """Return the seconds of one training of the dot-product network on all events, which are of one hour."""
    build = encoder_builder(Settings(encoder="dot-product"))
    assert build is not None
    on_progress("train the dot-product network", 0, 0)
    model = build()
    events = [
        ModelEvent(
            event.user_id,
            event.item_id or "",
            load.now_ms + number,
            event_weight(event),
            event_rating(event),
        )
        for number, event in enumerate(load.history())
    ]
    began_s = time.perf_counter()
    model.add([*events, ModelEvent(events[0].user_id, events[0].item_id, load.now_ms + 2 * HOUR_MS, 1.0)])
    model.fit_if_due()
    spent_s = time.perf_counter() - began_s
    assert model.fits == 1
    return round(spent_s, 3)
