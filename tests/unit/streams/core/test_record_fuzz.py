"""Records of any content: those within the limits of their topic can be folded, ranked and written.

`make fuzz` tries many more than the tests do.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas import limit, record_limit, text
from schemas.codec import Codec, DecodeError
from schemas.types import (
    Choice,
    Content,
    Feed,
    FoundItem,
    Interaction,
    Item,
    ItemNeighbors,
    ItemSignals,
    ItemStats,
    ItemWeights,
    LlmScores,
    Location,
    ModelVersion,
    Profile,
    ProfileUpdate,
    PushRequest,
    Trigger,
    UserWeights,
)
from streams.core.item import item_stats
from streams.core.item.item_stats import ItemState
from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.core.push import candidates
from streams.core.push import push_state as push
from streams.core.push.push_state import PushState
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot, ItemLabels
from streams.core.ranking.model_state import restore_blender
from streams.core.ranking.pipeline import MODEL, new_blender, rank
from streams.core.ranking.stages.llm_blend import LlmScoreCache
from streams.core.user import stated_profile, user_state
from streams.core.user.stated_profile import ProfileState
from streams.core.user.user_state import UserState
from streams.roles.trainer.candidate_fit import learn_event
from streams.roles.trainer.online_learner import OnlineLearner
from tests.build import (
    T0_MS,
    a_choice,
    a_content,
    a_ping,
    a_profile,
    a_profile_update,
    a_push_request,
    a_trigger,
    an_interaction,
    an_item,
    llm_scores,
    stats,
)
from tests.params import LEARNER_PARAMS, LLM_BLEND_PARAMS, PUSH_PARAMS, RANK_PARAMS
from tests.unit.schemas.strategy import records

EXAMPLES = 20 * int(os.environ["FUZZ_EXAMPLES"]) if "FUZZ_EXAMPLES" in os.environ else 100
RANK = dataclasses.replace(RANK_PARAMS, max_recommendations=10)
PARAMS = dataclasses.replace(LEARNER_PARAMS, rank=RANK)
SMALL = new_blender()
LATER_MS = T0_MS + 1_000_000
USUAL: tuple[Callable[[], Any], ...] = (
    an_interaction,
    an_item,
    a_ping,
    a_profile,
    a_trigger,
    lambda: an_interaction(action="rate", value=4.0),
    lambda: an_interaction(action="view", value=0.5, context={"source": "trending"}),
    lambda: a_profile_update(topics=["jazz"], segment="s"),
    a_push_request,
    lambda: a_push_request(kind="send", title="Tonight", item_id="i1"),
    lambda: a_content(items=[FoundItem(item_id="a"), FoundItem(item_id="b")]),
    stats,
    lambda: stats(segments={"s": 0.0}, horizons=[0.0] * 3, cohorts=[0.0] * item_stats.COHORTS, rating_count=2),
    lambda: llm_scores({"a": 0.5, "b": 0.9}),
    lambda: UserWeights(user_id="u1", weights={"popular": 0.1}, watermark=T0_MS),
    a_choice,
    lambda: ItemNeighbors(item_id="a", neighbors=["b"], scores=[1.0], follows=[1.0], mass=2.0, watermark=T0_MS),
    lambda: ItemWeights(item_id="a", model_version="v", others=["b"], weights=[0.5]),
    lambda: ModelVersion(
        model=MODEL, version="v", created_at=T0_MS, watermark=T0_MS, status="serving", events=1,
        parts=list(SMALL.features), weights=[0.1] * SMALL.table.size,
    ),
    lambda: ItemSignals(
        item_id="a", source_partition=0, source_offsets=[1], source_timestamps=[T0_MS], occurred_at=[T0_MS],
        actions=["click"], weights=[1.0], ratings=[None], segments=["s"], nths=[1],
    ),
)  # fmt: skip
NAMES = st.sampled_from(["a", "b", "c"])
EDGES = st.sampled_from([0.0, -0.0, 1e-300, 1.0, -1.0, 5.0, 100.0, 1e6, -1e6, 1e12, -1e12, 1e30, -1e30, -math.inf])
TIMES = st.integers(limit.FIRST_MS, LATER_MS + limit.FUTURE_MS)


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """Draw a record that is as usual but for some of its fields."""
    usual = draw(st.sampled_from(USUAL))()
    kind = type(usual)
    values: dict[str, Any] = {}
    for name in kind.__struct_fields__:
        wild = draw(st.integers(0, 9))
        if wild == 0:
            values[name] = getattr(draw(records(kind)), name)
        elif isinstance(getattr(usual, name), float):
            values[name] = draw(EDGES) if wild < 4 else getattr(usual, name)
        elif isinstance(getattr(usual, name), int) and (name.endswith("_at") or name in ("watermark", "reference")):
            values[name] = draw(TIMES)
        elif name in ("user_id", "item_id"):
            values[name] = draw(NAMES)
    if kind is Interaction and usual.action == "click":
        values["action"] = draw(st.sampled_from(["view", "click", "like", "save", "dislike", "hide", "skip"]))
    return replace(usual, **values)


class World:
    """Whatever follows the topics, for three people and items."""

    def __init__(self) -> None:
        self.view, self.blender, self.learner = (
            CatalogSnapshot(),
            new_blender(),
            Learner(PARAMS, refits_item_weights=False),
        )
        self.online = OnlineLearner()
        self.llm_scores = LlmScoreCache(LLM_BLEND_PARAMS)
        self.users: dict[str, UserState] = {}
        self.items: dict[str, ItemState] = {}
        self.profiles: dict[str, ProfileState] = {}
        self.pushes: dict[str, PushState] = {}

    def take(self, record: Any, at: Position) -> Iterator[msgspec.Struct]:
        """Hand a record to what follows its topic; yield what comes of it."""
        match record:
            case Item():
                self.view.apply_item(record)
                self.learner.catalog.apply_item(record)
            case ItemStats():
                self.view.apply_stats(record)
            case ItemNeighbors():
                self.view.apply_neighbors(record)
            case ItemWeights():
                self.view.apply_weights(record)
            case ModelVersion():
                restore_blender(self.blender, record)
            case LlmScores():
                self.llm_scores.put(record)
            case ItemSignals():
                item = self.items.setdefault(record.item_id, ItemState(record.item_id))
                item_stats.fold(item, record, params=PARAMS.signal)
                yield item_stats.stats(item)
            case ProfileUpdate():
                state = self.profiles.setdefault(record.user_id, ProfileState(record.user_id))
                if stated_profile.fold_update(state, record, at) and state.profile is not None:
                    yield state.profile
            case PushRequest():
                pushes = self.pushes.setdefault(record.user_id, PushState(record.user_id))
                yield from candidates.fold_request(
                    pushes, record, at, item=None, params=PUSH_PARAMS, now_ms=at.append_ms
                )
                yield push.snapshot(pushes, at.append_ms)
            case _:
                yield from self._user(record, at)

    def _user(self, record: Any, at: Position) -> Iterator[msgspec.Struct]:
        state = self.users.setdefault(record.user_id, UserState(record.user_id))
        match record:
            case Interaction():
                subject = self.view.labels(record.item_id) or ItemLabels("", (), "")
                one = user_state.fold(state, record, at, subject=subject, params=PARAMS.user)
                learn_event(self.learner, record, at, learn_weights=False)
                if one is not None:
                    yield from item_stats.to_records([one])
            case Location():
                user_state.fold_location(state, record, at, PARAMS.user)
            case Profile():
                user_state.fold_profile(state, record, at)
                self.learner.profile(record, at)
            case Trigger():
                user_state.fold_trigger(state, record, at, PARAMS.user)
            case Content():
                user_state.fold_content(state, record, at)
            case UserWeights():
                user_state.fold_weights(state, record, at)
            case Choice():
                self.online.apply(record)

    def feeds(self) -> Iterator[Feed]:
        """Rank for everybody."""
        for view, blender in ((self.view, self.blender), (self.learner.catalog, self.learner.blender)):
            view.refresh()
            for state in self.users.values():
                features = written(user_state.snapshot(state, PARAMS.user))
                llm = self.llm_scores.get(features.user_id, now_ms=LATER_MS)
                yield rank(features, view, blender, RANK, now_ms=LATER_MS, llm=llm)


def written(record: Any) -> Any:
    """Return a record as it is read again from its topic."""
    codec: Codec[Any] = Codec(type(record), 1)
    read = text.canonical(codec.decode(codec.encode(record)))
    record_limit.check(read, now_ms=LATER_MS + limit.FUTURE_MS)
    return read


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(log=st.lists(changed(), min_size=1, max_size=16))
@np.errstate(over="ignore", invalid="ignore")  # a score that is no number never leaves ranking
def test_records_within_their_limits_can_be_folded_ranked_and_written(log: list[Any]) -> None:
    note(repr(log))
    world = World()
    for number, record in enumerate(log, 1):
        try:
            whole = text.canonical(record)
            record_limit.check(whole, now_ms=LATER_MS)
            outputs = list(world.take(whole, Position(0, number, LATER_MS + number)))
        except DecodeError:
            event("refused " + type(record).__name__)
            continue
        event("taken " + type(record).__name__)
        for output in outputs:
            for _ in world.take(written(output), Position(1, number, LATER_MS + number)):
                pass
    for feed in world.feeds():
        assert all(map(math.isfinite, written(feed).scores))
        assert len(set(feed.items)) == len(feed.items)
        pushes = world.pushes.setdefault(feed.user_id, PushState(feed.user_id))
        for notification in candidates.fold_feed(pushes, feed, {}, params=PUSH_PARAMS, now_ms=LATER_MS):
            written(notification)
