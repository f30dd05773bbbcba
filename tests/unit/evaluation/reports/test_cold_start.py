"""Users that are held out: what models are told of them, and that nothing else differs."""

from collections.abc import Sequence

import numpy as np

from evaluation.contestants.blend import BlendCandidate
from evaluation.contestants.contestant import EvalContext
from evaluation.metrics.accuracy import accuracy, first_of_case
from evaluation.protocols.replay import GROUPS, KNOWN, replay
from evaluation.protocols.stream import Stream
from evaluation.reports import cold_start
from evaluation.reports.report import EvaluationSpec
from models.base import ModelEvent, ModelQuery, Scores
from streams.core.ranking.stages.features import FEATURES
from tests.unit.evaluation.builder import Scripted, a_stream

USERS = [f"u{number}" for number in range(10)]


def a_walk(*, items: int, repeats: bool) -> Stream:
    """Return a stream in which everybody goes on by three items at each of 15 steps, each from a place of their own."""
    lines = [
        (user, f"i{(3 * step + number) % items}", 5.0, 100 * step + number)
        for step in range(15)
        for number, user in enumerate(USERS)
    ]
    return a_stream(*lines, repeats=repeats)


STREAM = a_walk(items=100, repeats=False)


def held_out(seed: int) -> tuple[Scripted, list[str]]:
    """Replay and return the model with the users that were ranked for."""
    model = Scripted()
    replay(model, STREAM, "prequential-strict", seed=seed, cold=True)
    return model, sorted({query.user_id for query in model.queries})


def test_held_out_users_are_not_learned_from_and_five_seeds_hold_out_everyone_once() -> None:
    ranked_users = []
    for seed in range(GROUPS):
        model, users = held_out(seed)
        assert not {line for line in model.log if line.startswith("learn") and line[6:].partition(":")[0] in users}
        assert len([line for line in model.log if line.startswith("learn")]) == len(STREAM) * 4 / 5
        ranked_users += users
    assert sorted(ranked_users) == USERS


def test_models_learn_the_last_events_and_nothing_else() -> None:
    model, users = held_out(0)
    for user in users:
        own = [event for event in STREAM.events if event.user_id == user]
        first = [query for query in model.queries if query.user_id == user][: len(KNOWN)]
        for query, known_count in zip(first, KNOWN, strict=True):
            before = [event for event in own if event.at_ms < query.at_ms]
            assert list(query.history) == before[max(len(before) - known_count, 0) :]
            assert [item for item, _ in query.recent] == [event.item_id for event in reversed(query.history)]
            assert not query.exclude, "it would tell what else there was"


def test_cases_and_choice_are_the_same_whatever_is_known() -> None:
    outcome = replay(Scripted({"i3": 1.0}), STREAM, "prequential-strict", cold=True)
    known_items = outcome.known_count[first_of_case(outcome)]
    rows = [outcome.event_index[outcome.known_count == number].tolist() for number in KNOWN]
    assert rows[0]
    assert all(row == rows[0] for row in rows)
    assert set(known_items.tolist()) == set(KNOWN)
    target = rows[0][0]
    changed_items = set(STREAM.item[:target][STREAM.user[:target] == STREAM.user[target]].tolist())
    assert len(changed_items) >= 10
    assert not changed_items & set(outcome.top[0].tolist()), "what a user has touched is never shown, known or not"


def test_the_report_shows_accuracy_by_known_events() -> None:
    class Follower(Scripted):
        """Knows what comes next as soon as it knows two events."""

        def scores(self, queries: Sequence[ModelQuery]) -> Scores:
            figures = super().scores(queries)
            for row, query in zip(figures, queries, strict=True):
                if len(query.recent) >= 2:
                    row[[item in next_of(query.user_id, query.at_ms) for item in self.items.names]] = 1.0
            return figures

    def next_of(user: str, at_ms: int) -> set[str]:
        return {event.item_id for event in stream.events if event.user_id == user and event.at_ms == at_ms}

    stream = a_walk(items=20, repeats=True)
    spec = EvaluationSpec(protocol="prequential-strict", split="test", seed=0, seeds=2, cold=True)
    runs = [replay(Follower(), stream, spec.protocol, seed=seed, cold=True) for seed in (0, 1)]
    report = cold_start.report(stream, spec, {"follower": runs}, {})
    assert report["known"] == [0, 1, 2, 3, 5, 10, None]
    figures = report["models"]["follower"]
    assert figures["users"] == 4, "each seed holds out two others"
    assert figures["cases"] == sum(len(accuracy(run).hr) for run in runs) / len(KNOWN)
    assert [row["hr"] for row in figures["by_known"][2:]] == [1.0] * 5
    assert figures["by_known"][0]["hr"] < 1.0
    assert figures["by_known"][2]["against_nothing"]["hr"]["low"] > 0


def test_the_blend_meets_a_stranger_as_it_knows_its_users() -> None:
    blend = BlendCandidate(EvalContext(catalogue=[], seed=0))
    draw = np.random.default_rng(0)
    events = [
        ModelEvent(f"u{n % 7}", f"i{draw.integers(80)}", 1_000_000 + 60_000 * n, 1.0 if n % 3 else -0.5)
        for n in range(300)
    ]
    blend.learn(events)
    own = [event for event in events if event.user_id == "u3"]
    at_ms = events[-1].at_ms + 1
    blend.learner.weights.put("u3", np.zeros(len(FEATURES)))  # a stranger has no weights of their own yet
    (known_scores,) = blend.scores([ModelQuery("u3", at_ms=at_ms)])
    (stranger_scores,) = blend.scores([ModelQuery("stranger", at_ms=at_ms, history=own)])
    assert np.isfinite(known_scores).sum() > 20
    assert stranger_scores.tolist() == known_scores.tolist()
    (hardly_met,) = blend.scores([ModelQuery("stranger", at_ms=at_ms, history=own[-1:])])
    assert hardly_met.tolist() != known_scores.tolist()
