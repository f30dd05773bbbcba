import pytest

from evaluation.protocols.replay import ReplayOutcome, replay
from tests.unit.evaluation.builder import Scripted, a_stream, filler

# Eight events before the test part, which then holds the last two (20 % of ten).
KNOWN = [("b", "x", 5.0, 10), ("b", "y", 5.0, 11), ("b", "z", 5.0, 12), *filler(5)]
SCORES = {"x": 3.0, "y": 2.0, "z": 1.0}


def ranks(outcome: ReplayOutcome) -> dict[int, int]:
    return dict(zip(outcome.event_index.tolist(), outcome.rank.tolist(), strict=True))


def sorted_known() -> list[tuple[str, str, float | None, int]]:
    return sorted(KNOWN, key=lambda line: line[3])


def test_strict_ranks_a_group_before_any_of_it_is_learned() -> None:
    stream = a_stream(*sorted_known(), ("a", "x", 5.0, 100), ("a", "y", 5.0, 100))
    model = Scripted(SCORES)
    assert ranks(replay(model, stream, "prequential-strict")) == {8: 1, 9: 2}, "one list for both"
    assert model.log[-3:] == ["rank a", "learn a:x", "learn a:y"]


def test_per_event_learns_in_between_and_shows_no_item_twice() -> None:
    stream = a_stream(*sorted_known(), ("a", "x", 5.0, 100), ("a", "y", 5.0, 100))
    model = Scripted(SCORES)
    assert ranks(replay(model, stream, "prequential")) == {8: 1, 9: 1}, "x is out of the way by then"
    assert model.log[-4:] == ["rank a", "learn a:x", "rank a", "learn a:y"]


def test_where_items_repeat_touched_ones_stay_in_the_list() -> None:
    stream = a_stream(*sorted_known(), ("a", "x", 5.0, 100), ("a", "y", 5.0, 100), repeats=True)
    model = Scripted(SCORES)
    assert ranks(replay(model, stream, "prequential")) == {8: 1, 9: 2}
    assert not model.queries[-1].exclude


def test_groups_hold_one_users_events_of_one_time_even_when_others_act_in_between() -> None:
    stream = a_stream(
        *sorted_known(), *((f"p{n}", "x", 1.0, 50 + n) for n in range(8)),
        ("a", "x", 5.0, 100), ("c", "y", 5.0, 100), ("a", "z", 5.0, 100), ("a", "y", 5.0, 101),
    )  # fmt: skip
    model = Scripted(SCORES)
    replay(model, stream, "prequential-strict")
    assert model.log[-7:] == [
        "rank a", "learn a:x", "learn a:z", "rank c", "learn c:y", "rank a", "learn a:y",
    ]  # fmt: skip


def test_low_ratings_are_learned_and_exclude_but_are_no_test_events() -> None:
    stream = a_stream(*sorted_known(), ("a", "x", 1.0, 100), ("a", "y", 4.0, 101))
    model = Scripted(SCORES)
    assert ranks(replay(model, stream, "prequential-strict")) == {9: 1}, "x is excluded, so y is first"
    assert model.queries[0].recent == (("x", -0.6),)
    assert model.queries[0].exclude == {"x"}


def test_a_new_item_counts_as_a_miss_at_the_end_of_the_list() -> None:
    stream = a_stream(*sorted_known(), ("a", "x", 5.0, 100), ("a", "new", 5.0, 101))
    assert ranks(replay(Scripted(SCORES), stream, "prequential"))[9] == 11, "8 items heard of, but never in the top 10"


def test_a_repeated_rating_is_no_test_event_where_items_do_not_repeat() -> None:
    stream = a_stream(*sorted_known(), ("b", "x", 5.0, 100), ("a", "x", 5.0, 100), repeats=False)
    assert ranks(replay(Scripted(SCORES), stream, "prequential-strict")) == {9: 1}


def test_every_event_is_learned_once_and_in_order() -> None:
    lines = [(f"u{n % 7}", f"i{n % 30}", 1.0 + n % 5, n // 3) for n in range(2_000)]
    for protocol in ("prequential", "prequential-strict"):
        model = Scripted()
        replay(model, a_stream(*lines, repeats=True), protocol)
        learned_lines = [line.removeprefix("learn ") for line in model.log if line.startswith("learn")]
        if protocol == "prequential":
            assert learned_lines == [f"{user}:{item}" for user, item, _, _ in lines]
        assert sorted(learned_lines) == sorted(f"{user}:{item}" for user, item, _, _ in lines)


def test_validation_never_sees_the_test_part() -> None:
    lines = [(f"u{n}", "x", 5.0 - 4 * (n % 2), n) for n in range(100)]
    model = Scripted()
    outcome = replay(model, a_stream(*lines, repeats=True), "prequential-strict", split="validation")
    assert outcome.event_index.tolist() == list(range(60, 80, 2))
    assert sum(line.startswith("learn") for line in model.log) == 80


def test_a_group_across_the_border_has_test_events_only_after_it() -> None:
    stream = a_stream(*filler(7), ("a", "f1", 5.0, 100), ("a", "f2", 5.0, 100), ("a", "f3", 5.0, 100))
    assert replay(Scripted(), stream, "prequential-strict").event_index.tolist() == [8, 9]


def test_global_split_takes_users_with_five_events_before_and_a_positive_after() -> None:
    before = [("a", f"i{n}", 5.0, n) for n in range(5)] + [("b", f"i{n}", 1.0, 10 + n) for n in range(3)]
    stream = a_stream(*before, ("a", "i5", 5.0, 100), ("b", "i4", 5.0, 101))
    model = Scripted()
    outcome = replay(model, stream, "global-split")
    assert outcome.event_index.tolist() == [8], "b has three events only"
    assert model.queries[0].exclude == {f"i{n}" for n in range(5)}
    assert sum(line.startswith("learn") for line in model.log) == 8


def test_global_split_makes_one_case_of_all_positives_of_a_user() -> None:
    before = [("a", f"i{n}", 5.0, n) for n in range(5)] + [("b", i, 1.0, 50) for i in ("x", "y", "z", *"klmnopqrstu")]
    after = [("a", "x", 5.0, 100), ("c", "x", 5.0, 100), ("a", "y", 2.0, 101), ("a", "z", 5.0, 102)]
    stream = a_stream(*before, *after[:4])
    outcome = replay(Scripted({"z": 9.0, "y": 8.0, "x": 7.0}), stream, "global-split")
    assert outcome.case.tolist() == [0, 0]
    assert outcome.rank.tolist() == [3, 1], "y was rated 2 only after the split, so it is in the list"


def test_leave_last_out_learns_all_but_each_users_last_event_whatever_its_rating() -> None:
    stream = a_stream(
        ("a", "x", 1.0, 1), ("b", "x", 5.0, 2), ("b", "y", 5.0, 3), ("a", "y", 1.0, 4), ("c", "y", 5.0, 5),
        ("b", "z", 1.0, 6), ("d", "x", 3.0, 7), ("d", "z", 2.0, 8), ("d", "y", 5.0, 9),
    )  # fmt: skip
    model = Scripted(SCORES)
    outcome = replay(model, stream, "leave-last-out")
    assert sorted(line for line in model.log if line.startswith("learn")) == [
        "learn a:x", "learn b:x", "learn b:y", "learn d:x", "learn d:z",
    ]  # fmt: skip
    assert ranks(outcome) == {3: 1, 5: 1, 8: 1}, "a's y and d's y; b's z; c has nothing before"
    assert model.queries[0].recent == (("x", 1.0),), "a rating of 1 is an interaction like any other"


def test_leave_last_out_validates_on_the_event_before_the_last() -> None:
    stream = a_stream(*[("a", item, 5.0 - n, n) for n, item in enumerate("xyzw")])
    model = Scripted()
    assert replay(model, stream, "leave-last-out", split="validation").event_index.tolist() == [2]
    assert [line for line in model.log if line.startswith("learn")] == ["learn a:x", "learn a:y"]


@pytest.mark.parametrize("protocol", ["prequential-strict", "prequential", "global-split", "leave-last-out"])
def test_a_stream_too_short_to_test_gives_no_outcome(protocol: str) -> None:
    outcome = replay(Scripted(), a_stream(("a", "x", None, 1)), protocol)
    assert len(outcome.event_index) == (protocol in {"prequential-strict", "prequential"})
    assert outcome.top.shape[1] == 10


def test_a_query_is_newest_first_and_counts_earlier_events() -> None:
    stream = a_stream(
        *filler(6), ("a", "f1", 5.0, 50), ("a", "f2", 5.0, 60), ("a", "f3", 5.0, 100), ("a", "f4", 5.0, 100)
    )
    model = Scripted()
    outcome = replay(model, stream, "prequential-strict")
    assert [item for item, _ in model.queries[0].recent] == ["f2", "f1"]
    assert outcome.earlier.tolist() == [2, 2], "the group is not earlier than itself"
    assert outcome.gap_ms.tolist() == [40_000, 40_000]
