"""Item embeddings on the real stack: two workers learn one space, and users have embeddings in it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from infra.address import Addresses
from schemas.types import Interaction, ItemEmbedding
from streams.core.item.embedding_record import STORED
from tests.build import T0_MS, an_interaction, an_item
from tests.pipeline.learning.test_links import SETTINGS, shared
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import FEATURES, INTERACTIONS, ITEM_EMBEDDINGS, ITEMS

GROUPS, IN_GROUP, USERS, VISITS = 4, 8, 240, 6
ITEM_COUNT = GROUPS * IN_GROUP


def group_of(item_id: str) -> int:
    return int(item_id[1:]) % GROUPS


def events() -> list[Interaction]:
    """Return visits of users who keep to the items of one group each."""
    draw = random.Random(5)
    visits = {
        f"u{user}": [f"i{user % GROUPS + GROUPS * n}" for n in draw.sample(range(IN_GROUP), VISITS)]
        for user in range(USERS)
    }
    return [
        an_interaction(
            event_id=f"e{step}-{user_id}", user_id=user_id, item_id=item_ids[step], action="like",
            occurred_at=T0_MS + 60_000 * step + number,
        )
        for step in range(VISITS)
        for number, (user_id, item_ids) in enumerate(visits.items())
    ]  # fmt: skip


def vector(record: ItemEmbedding) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.append(np.frombuffer(record.vector, STORED).astype(np.float32), np.float32(record.bias))


def share_in_group(records: dict[str, ItemEmbedding]) -> float:
    """Return the share of items that score another item of their own group highest."""
    names, matrix = list(records), np.array([vector(record) for record in records.values()])
    scores = matrix[:, :-1] @ matrix[:, :-1].T + matrix[:, -1]
    np.fill_diagonal(scores, -np.inf)
    best = scores.argmax(axis=1).tolist()
    return sum(group_of(names[item]) == group_of(names[other]) for item, other in enumerate(best)) / len(names)


async def embeddings(pipeline: Pipeline) -> dict[str, ItemEmbedding]:
    return await pipeline.newest(ITEM_EMBEDDINGS)


async def test_two_workers_learn_one_space_in_which_users_are_found_too(stack: Addresses, tmp_path: Path) -> None:
    interactions = events()
    half = len(interactions) // 2
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.publish(ITEMS, [an_item(f"i{n}", created_at=T0_MS - 1) for n in range(ITEM_COUNT)])
        await pipeline.start("feed")
        await pipeline.start("trainer", **SETTINGS)
        one = await pipeline.start("links", worker_id="1")
        await pipeline.start("links", worker_id="2")
        await until(lambda: shared(pipeline, 2), what="two workers with all partitions")
        await pipeline.publish(INTERACTIONS, interactions[:half])
        await pipeline.settle()
        first_records = await embeddings(pipeline)
        assert first_records.keys() == {f"i{n}" for n in range(ITEM_COUNT)}, "every item with an event has one"

        await pipeline.kill(one)
        await pipeline.publish(INTERACTIONS, interactions[half:])
        await until(lambda: shared(pipeline, 1), what="one worker with all partitions")
        await pipeline.settle()
        records = await embeddings(pipeline)
        assert len({record.space for record in records.values()}) == 1
        assert share_in_group(records) > 0.9

        person = "u0"
        before = (await pipeline.newest(FEATURES))[person]
        assert before.embedding_space == records["i0"].space
        user = np.append(np.frombuffer(before.embedding, STORED).astype(np.float32), np.float32(1.0))
        scores = {item_id: float(vector(record) @ user) for item_id, record in records.items()}
        best = sorted(scores, key=lambda item_id: -scores[item_id])[: IN_GROUP // 2]
        assert {group_of(item_id) for item_id in best} == {0}, "the user's own group scores highest"

        changed_item = f"i{1 + GROUPS}"
        event = an_interaction(user_id=person, item_id=changed_item, action="like", occurred_at=T0_MS + 3_600_000)
        await pipeline.publish(INTERACTIONS, [event])
        await pipeline.settle()
        assert (await pipeline.newest(FEATURES))[person].embedding != before.embedding
        assert (await embeddings(pipeline))[changed_item].vector != records[changed_item].vector
        assert not await pipeline.dead_letters()
