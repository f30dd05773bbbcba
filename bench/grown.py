"""Learning from a long generated stream, in a process of its own: prints memory and time as it goes, as JSON.

Users and items are Zipf(1.0). Nothing of the stream is held: it is generated as it is learned.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import psutil
from rocksdict import AccessType, Options, Rdict

from bench.load import CATEGORIES, Size, zipf
from cli.run import collect_rarely
from domain.timestamp import DAY_MS
from infra.kafka.partition import partition_of
from infra.settings import Settings
from models.factorization.item_embeddings import EmbeddingConfig, ItemEmbeddings
from models.vocabulary import Vocabulary
from schemas.types import Interaction
from streams.core.item.link_events import LinkEvent, link_event, link_updates
from streams.core.item.link_rows import LinkRows
from streams.core.learning.repeats import RepeatRates, returns
from streams.core.learning.visits import Positions, Visit, count, to_records
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from streams.runtime.core_params import user_params
from topics.topic import PARTITIONS

SAMPLES = 100
"""Lines printed."""
_CHUNK, _BATCH = 100_000, 500
_DAYS, _TOPICS, _CACHED_USERS = 14, 40, 20_000
_LINKS = 1_250
"""Links published after each batch, as a worker does that learns 8,000 events a second."""
_START_MS = 1_700_000_000_000


class Sample(msgspec.Struct, frozen=True):
    """Memory and time after a part of the stream."""

    events: int
    rss: int
    """Resident memory of the process, in bytes."""
    cpu_s: float
    """Processor time of learning, in seconds."""
    sizes: dict[str, int]


class DiskStates:
    """States of users on disk, with a bounded cache, as in the table of a feed worker.

    Args:
        folder: The folder of the database.
    """

    def __init__(self, folder: Path) -> None:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        self._database = Rdict(str(folder), options, access_type=AccessType.read_write())
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(UserState).decode
        self._cache: OrderedDict[str, UserState] = OrderedDict()

    def get(self, user_id: str) -> UserState:
        """Return the state of a user, or a new one; changes of it last."""
        state = self._cache.get(user_id)
        if state is not None:
            self._cache.move_to_end(user_id)
            return state
        stored_bytes = self._database.get(user_id.encode())
        state = self._cache[user_id] = UserState(user_id) if stored_bytes is None else self._decode(stored_bytes)
        if len(self._cache) > _CACHED_USERS:
            oldest_id, oldest = self._cache.popitem(last=False)
            self._database[oldest_id.encode()] = self._encode(oldest)
        return state


def events(size: Size, *, seed: int = 1) -> Iterator[Interaction]:
    """Yield the interactions of two weeks."""
    step_ms = _DAYS * DAY_MS / size.events
    for start in range(0, size.events, _CHUNK):
        rng, count = np.random.default_rng((seed, start)), min(_CHUNK, size.events - start)
        users, items = zipf(rng, size.users, count), zipf(rng, size.items, count)
        for number, (user, item) in enumerate(zip(users.tolist(), items.tolist(), strict=True), start):
            yield Interaction(
                event_id=f"{number:016x}",
                user_id=f"user{user:07d}",
                item_id=_item_id(item),
                action="click",
                occurred_at=int(_START_MS + number * step_ms),
            )


def learn(stream: Iterator[Interaction], size: Size, tell: Callable[[int, float, dict[str, int]], None]) -> None:
    """Fold users, learn the links and embeddings of items, and count visits, as workers and the trainer do."""
    settings, items = Settings(), Vocabulary()
    embeddings = ItemEmbeddings(items, EmbeddingConfig(dimensions=settings.embedding_dim))
    rows = [
        LinkRows(items, half_life_days=settings.cooccurrence_half_life_days, embeddings=embeddings)
        for _ in range(PARTITIONS)
    ]
    params, spent_s, number, events_of_sample = user_params(settings), 0.0, 0, size.events // SAMPLES
    rates, positions = RepeatRates(), Positions()
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        states = DiskStates(Path(folder))
        while batch := list(islice(stream, min(_BATCH, events_of_sample - number % events_of_sample))):
            began_s = time.process_time()
            links, visits = list[LinkEvent](), list[Visit]()
            for event in batch:
                number += 1
                state, position = states.get(event.user_id), Position(0, number, event.occurred_at)
                if (link := link_event(state, event, position, params)) is not None:
                    links.append(link)
                labels = _labels(str(event.item_id))
                if (is_return := returns(state, event)) is not None:
                    visits.append(Visit(position, labels.category, is_return))
                user_state.fold(state, event, position, subject=labels, params=params)
            _learn(rows, embeddings, links)
            for record in to_records(visits):
                count(rates, positions, record)
            spent_s += time.process_time() - began_s
            if number % events_of_sample == 0:
                tell(
                    number,
                    spent_s,
                    {
                        "items": len(items),
                        "links": sum(one.link_count for one in rows),
                        "links_bytes": sum(one.nbytes for one in rows),
                        "users_disk_bytes": sum(path.stat().st_size for path in Path(folder).iterdir()),
                    },
                )


def _learn(rows: list[LinkRows], embeddings: ItemEmbeddings, batch: list[LinkEvent]) -> None:
    for updates in link_updates(batch, _partition_of):
        partition = rows[_partition_of(updates.item_id)]
        partition.apply(partition.next_offset, updates)
    embeddings.learn()
    embeddings.drain(_BATCH)
    for partition in rows:
        for _ in partition.rows(_LINKS // PARTITIONS):
            pass
        partition.checkpoint()


def _item_id(number: int) -> str:
    return f"item{number:07d}"


@lru_cache(1 << 20)
def _partition_of(item_id: str) -> int:
    return partition_of(item_id.encode(), PARTITIONS)


def _labels(item_id: str) -> ItemLabels:
    number = int(item_id[4:])
    return ItemLabels(CATEGORIES[number % len(CATEGORIES)], (f"topic {number % _TOPICS}",), "")


def main(size: Size) -> None:
    """Learn a stream and print a sample after each hundredth of it.

    Args:
        size: The size of the stream.
    """
    process = psutil.Process()

    def tell(number: int, spent_s: float, sizes: dict[str, int]) -> None:
        sample = Sample(number, process.memory_info().rss, round(spent_s, 2), sizes)
        print(msgspec.json.encode(sample).decode(), flush=True)

    collect_rarely()
    learn(events(size), size, tell)


if __name__ == "__main__":
    main(Size(*map(int, sys.argv[1:])))
