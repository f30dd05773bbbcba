from streams.roles.shop.unarchived_events import MAX_EVENTS, UnarchivedEvents
from tests.build import T0_MS, an_interaction


def test_events_are_kept_until_the_archive_has_them() -> None:
    events = UnarchivedEvents()
    events.add([an_interaction(user_id="ann", event_id=name) for name in ("a", "b")])
    events.discard("ann", ["a", "elsewhere"])
    assert list(events.of("ann")) == ["b"]
    events.discard("ann", ["b"])
    assert (len(events), events.of("ann")) == (0, {})


def test_the_newest_events_of_the_last_users_are_kept() -> None:
    events = UnarchivedEvents(max_users=2)
    events.add(
        an_interaction(user_id="ann", event_id=f"{number}", occurred_at=T0_MS + number)
        for number in range(MAX_EVENTS + 1)
    )
    assert (len(events.of("ann")), "0" in events.of("ann")) == (MAX_EVENTS, False)
    events.add(an_interaction(user_id=name, event_id="x") for name in ("bob", "ann", "cem"))
    assert [len(events.of(name)) for name in ("ann", "bob", "cem")] == [MAX_EVENTS, 0, 1]


def test_nothing_of_an_erased_user_is_kept() -> None:
    events = UnarchivedEvents()
    events.add([an_interaction(user_id="ann")])
    events.erase("ann")
    events.erase("nobody")
    assert events.of("ann") == {}
