"""Generated sparse streams: sparse, in order, and the same for the same name."""

from collections import Counter
from pathlib import Path

import pytest

from domain.timestamp import DAY_MS
from loaders.dataset import DatasetError
from loaders.datasets import detect, sparse

NAME = Path("sparse-small-1")


def test_a_name_is_always_the_same_stream_and_a_seed_another() -> None:
    first, again, other = (detect.read(Path(name)) for name in (NAME, NAME, "sparse-small-2"))
    assert first == again
    assert first.name == NAME.name
    assert [event.item_id for event in first.interactions] != [event.item_id for event in other.interactions]


def test_a_stream_is_sparse_and_in_order() -> None:
    shape, events = sparse.SHAPES["small"], detect.read(NAME).interactions
    counts = Counter(event.item_id for event in events)
    assert len(events) == shape.ratings
    assert sum(count <= 2 for count in counts.values()) > 0.7 * len(counts)
    assert len({(event.user_id, event.item_id) for event in events}) == len(events)
    assert len({event.event_id for event in events}) == len(events)
    times = [event.occurred_at for event in events]
    assert times == sorted(times)
    assert all(at_ms % DAY_MS == 0 for at_ms in times)
    assert times[-1] - times[0] <= shape.days * DAY_MS


def test_popular_items_drift() -> None:
    events = detect.read(NAME).interactions
    half = len(events) // 2
    early, late = (
        {i for i, _ in Counter(e.item_id for e in one).most_common(20)} for one in (events[:half], events[half:])
    )
    assert len(early & late) < 15


@pytest.mark.parametrize("name", ["sparse-small-", "sparse-odd-1", "sparse-small-x", "sparse-small"])
def test_other_names_are_no_streams(name: str) -> None:
    assert not sparse.matches(Path(name))
    with pytest.raises(DatasetError, match="nothing here"):
        detect.read(Path(name))


def test_a_file_of_that_name_is_read_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / NAME
    file.write_text("user,item,timestamp\na,x,1\n")
    assert not sparse.matches(file)
