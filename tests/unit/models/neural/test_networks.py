"""Models that need torch, each on worlds whose right answer is known by construction."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from domain.timestamp import DAY_MS, HOUR_MS
from models.base import Model, ModelEvent, ModelQuery
from models.factorization.bpr import Bpr, BprConfig
from models.factorization.dotproduct import DotProduct, DotProductConfig, target_of
from models.neural.deep import Deep, DeepConfig, DeepNetwork
from models.neural.lightgcn import LightGcn, LightGcnConfig
from models.neural.neural_model import grow_embedding
from models.neural.sequence import SelfAttention, SequenceConfig
from tests.unit.models.builder import ITEMS, T0_MS, checkerboard

BUILDERS: dict[str, Callable[[], Model]] = {
    "bpr": lambda: Bpr(BprConfig(factors=8, batch=10, learning_rate=0.1)),
    "lightgcn": lambda: LightGcn(LightGcnConfig(dim=8, refit_every=40)),
    "dot-product": lambda: DotProduct(DotProductConfig(embedding_dim=8, batch=32)),
    "deep": lambda: Deep(DeepConfig(embedding_dim=16, hidden_dim=16, refit_every=40, learning_rate=0.01, dropout=0.0)),
    "sequence": lambda: SelfAttention(
        SequenceConfig(dim=16, length=4, refit_every=40, learning_rate=0.01, dropout=0.0)
    ),
}
every_builder = pytest.mark.parametrize("build", BUILDERS.values(), ids=list(BUILDERS))


def asked(model: Model, items: list[int], k: int, *, user: str = "new") -> list[int]:
    """Return what is recommended after items, the newest last."""
    query = ModelQuery(
        user, tuple((f"i{item}", 1.0) for item in reversed(items)), frozenset(f"i{item}" for item in items)
    )
    return [int(item[1:]) for item in model.recommend([query], k)[0].items]


@every_builder
def test_items_of_the_same_colour_come_first_for_a_new_user(build: Callable[[], Model]) -> None:
    model = build()
    model.learn(checkerboard(100))
    for item in range(ITEMS):
        assert {(other - item) % 2 for other in asked(model, [item], 3)} == {0}


@every_builder
def test_what_comes_from_seeds_leaves_the_generator_of_torch_alone(build: Callable[[], Model]) -> None:
    before = torch.random.get_rng_state()
    model = build()
    model.learn(checkerboard(30))
    asked(model, [1], 3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_bpr_learns_when_a_micro_batch_is_full_and_not_before() -> None:
    model, popular = Bpr(BprConfig(batch=50)), Bpr(BprConfig(batch=10_000))
    model.learn(checkerboard()[:49])
    popular.learn(checkerboard()[:49])
    assert asked(model, [0], 12) == asked(popular, [0], 12)
    model.learn(checkerboard()[49:50])
    popular.learn(checkerboard()[49:50])
    assert asked(model, [0], 12) != asked(popular, [0], 12)


def test_bpr_answers_a_click_before_it_learns_from_it() -> None:
    model = BUILDERS["bpr"]()
    model.learn(checkerboard(100))
    odd = np.array([int(item[1:]) % 2 == 1 for item in model.items.names])
    leanings = []
    for history in ([2, 4], [1, 2, 4], [1, 3, 2, 4]):
        scores = model.scores([ModelQuery("u0", tuple((f"i{item}", 1.0) for item in history))])[0]
        leanings.append(scores[odd].mean() - scores[~odd].mean())
    assert leanings == sorted(leanings)
    assert leanings[0] < 0


def cycles(users: int, *, first: int = 0, size: int = ITEMS) -> list[ModelEvent]:
    """Return events of users who go round a circle of items, each from a place of its own."""
    draw = np.random.default_rng(first)
    return [
        ModelEvent(f"u{first}-{user}", f"i{first + (start + place) % size}", T0_MS + user * HOUR_MS + place, 1.0)
        for user, start in enumerate(draw.integers(size, size=users).tolist())
        for place in range(5)
    ]


@pytest.mark.parametrize("name", ["deep", "sequence"])
def test_the_next_item_is_predicted_and_so_are_new_ones_after_a_refit(name: str) -> None:
    model = BUILDERS[name]()
    model.learn(cycles(200))
    assert [asked(model, [item], 1) for item in range(ITEMS)] == [[(item + 1) % ITEMS] for item in range(ITEMS)]
    model.learn(cycles(200, first=ITEMS, size=4))
    assert [asked(model, [ITEMS + item], 1) for item in range(4)] == [[ITEMS + (item + 1) % 4] for item in range(4)]


def test_attention_distinguishes_histories_with_the_same_end() -> None:
    draw = np.random.default_rng(0)
    events = [
        ModelEvent(f"u{user}", f"i{item}", T0_MS + user * HOUR_MS + place, 1.0)
        for user, late in enumerate(draw.integers(2, size=300).tolist())
        for place, item in enumerate([late, 2, 3 + late])
    ]
    model = SelfAttention(SequenceConfig(dim=16, length=4, refit_every=40, steps=20, learning_rate=0.01, dropout=0.0))
    model.learn(events)
    assert asked(model, [0, 2], 1) == [3]
    assert asked(model, [1, 2], 1) == [4]


def test_a_user_folded_into_the_graph_is_the_fitted_one_without_its_own_layer() -> None:
    events = checkerboard(32)  # the last refit comes with the last event
    model = LightGcn(LightGcnConfig(dim=8, layers=2, refit_every=32, position_discount=1.0))
    model.learn(events)
    history = np.zeros((32, ITEMS))
    for event in events:
        history[int(event.user_id[1:]), model.items.get(event.item_id)] = 1.0
    graph = history / np.sqrt(history.sum(axis=1, keepdims=True) * history.sum(axis=0))
    users, items = model._user.numpy(), model._item.numpy()
    smooth_items = (items + graph.T @ users + graph.T @ (graph @ items)) / 3
    expected = (graph @ items + graph @ (graph.T @ users)) / 3
    for user in range(32):
        own = [(event.item_id, 1.0) for event in events if event.user_id == f"u{user}"]
        scores = model.scores([ModelQuery("new", own)])[0]
        np.testing.assert_allclose(scores, smooth_items @ expected[user], rtol=1e-3, atol=1e-5)


def test_dot_products_are_trained_each_hour_of_event_time() -> None:
    model = DotProduct()
    model.learn(checkerboard(1))
    first_scores = model.scores([ModelQuery("u0", (("i0", 1.0),))])
    model.learn([ModelEvent("u1", "i1", T0_MS + HOUR_MS - 1, 1.0)])
    assert first_scores.shape == (1, 4)
    assert not len(model._item)
    model.learn([ModelEvent("u1", "i3", T0_MS + HOUR_MS, 1.0)])
    assert len(model._item) == 5
    scores = model.scores([ModelQuery("u0")])[0]
    assert ((scores[:5] >= 0) & (scores[:5] <= 1)).all()
    assert scores[5] == -np.inf


def test_dot_products_are_trained_by_five_epochs_on_the_squared_error() -> None:
    config = DotProductConfig(embedding_dim=4, negatives=0)
    events = [ModelEvent(f"u{n % 5}", f"i{n % 7}", T0_MS + n, n % 3 - 1.0) for n in range(30)]
    model = DotProduct(config, seed=3)
    model.learn([*events, ModelEvent("u0", "i0", T0_MS + HOUR_MS, 1.0)])
    generator = torch.Generator().manual_seed(3)
    users, items = (torch.randn(count, 4, generator=generator) / 2 for count in (len(model._user), len(model._item)))
    pairs = torch.tensor([(int(event.user_id[1:]), model.items.get(event.item_id)) for event in events])
    targets = torch.tensor([target_of(event) for event in events])
    optimizer = torch.optim.Adam([users.requires_grad_(), items.requires_grad_()], lr=config.learning_rate)
    for _ in range(5):
        similarity = nn.functional.cosine_similarity(users[pairs[:, 0]], items[pairs[:, 1]])
        optimizer.zero_grad()
        (((similarity + 1) / 2 - targets) ** 2).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    torch.testing.assert_close(model._user, users.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model._item, items.detach(), rtol=1e-4, atol=1e-4)


def test_dot_products_are_trained_on_the_last_seven_days() -> None:
    model = DotProduct()
    model.learn([ModelEvent("u1", "old", T0_MS, 1.0), ModelEvent("u1", "kept", T0_MS + 2 * HOUR_MS, 1.0)])
    model.learn([ModelEvent("u1", "new", T0_MS + 7 * DAY_MS + HOUR_MS, 1.0)])
    assert [item for _, _, item, _ in model._history] == [model.items.get("kept"), model.items.get("new")]


def test_dot_products_without_unmet_contents_predict_ratings() -> None:
    draw = np.random.default_rng(0)
    pairs = [(user, item) for user in range(20) for item in range(ITEMS)]
    draw.shuffle(pairs)
    events = [
        ModelEvent(f"u{user}", f"i{item}", T0_MS + place, 1.0, 0.9 if (user - item) % 2 else 0.2)
        for place, (user, item) in enumerate(pairs[:180])
    ]
    model = DotProduct(DotProductConfig(embedding_dim=8, epochs=60, batch=32, negatives=0))
    model.learn([*events, ModelEvent("u0", "i0", T0_MS + 2 * HOUR_MS, 1.0, 0.2)])
    predictions = np.array(
        [model.scores([ModelQuery(f"u{user}")])[0][model.items.get(f"i{item}")] for user, item in pairs[180:]]
    )
    expected = np.array([0.9 if (user - item) % 2 else 0.2 for user, item in pairs[180:]])
    assert np.sqrt(np.mean((predictions - expected) ** 2)) < 0.1


@pytest.mark.parametrize(
    ("event", "target"),
    [
        (ModelEvent("u", "i", 0, -1.0, 0.75), 0.75),
        (ModelEvent("u", "i", 0, 1.0), 0.75),
        (ModelEvent("u", "i", 0, 5.0), 1.0),
        (ModelEvent("u", "i", 0, -3.0), 0.0),
    ],
)
def test_the_target_is_the_rating_or_what_the_action_says(event: ModelEvent, target: float) -> None:
    assert target_of(event) == target


def of_inputs(network: DeepNetwork, rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return users, last items and values for a network of six items."""
    network.item = nn.Embedding(6, 4)
    draw = torch.Generator().manual_seed(1)
    items = torch.randint(6, (rows, 3), generator=draw)
    return torch.randn(rows, 4, generator=draw), items, torch.ones(rows, 3)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_deep_network_drops_out_and_normalizes_batches_while_it_learns_only(dropout: float) -> None:
    network = DeepNetwork(DeepConfig(embedding_dim=4, hidden_dim=32, length=3, dropout=dropout))
    inputs = of_inputs(network, 8)
    half = tuple(rows[:4] for rows in inputs)
    network.train()
    assert torch.equal(network(*inputs), network(*inputs)) is (dropout == 0.0)
    if dropout == 0.0:
        assert not torch.allclose(network(*inputs)[:4], network(*half), atol=1e-3), "rows count by their batch"
    network.eval()
    assert torch.equal(network(*inputs), network(*inputs))
    torch.testing.assert_close(network(*inputs)[:4], network(*half))


def test_the_deep_network_has_a_hidden_layer_that_is_not_linear() -> None:
    network = DeepNetwork(DeepConfig(embedding_dim=4, hidden_dim=32, length=3)).eval()
    vectors = torch.randn(8, 12, generator=torch.Generator().manual_seed(1))
    middle = (network.tower(vectors) + network.tower(-vectors)) / 2
    assert not torch.allclose(middle, network.tower(torch.zeros_like(vectors)), atol=1e-3)


def test_a_table_grows_without_forgetting() -> None:
    table = nn.Embedding(3, 2)
    optimizer = torch.optim.Adam(table.parameters(), lr=0.1)
    table(torch.tensor([0, 2])).sum().backward()
    optimizer.step()
    before, memory = table.weight.detach().clone(), optimizer.state[table.weight]["exp_avg"].clone()
    grow_embedding(table, 5, optimizer, spread=0.0)
    assert torch.equal(table.weight, torch.cat([before, torch.zeros(2, 2)]))
    assert torch.equal(optimizer.state[table.weight]["exp_avg"], torch.cat([memory, torch.zeros(2, 2)]))
    optimizer.zero_grad()
    table(torch.tensor([4])).sum().backward()
    optimizer.step()
    assert table.weight[4].abs().min() > 0.01


def test_without_torch_the_catalogue_is_there_and_says_what_to_install() -> None:
    script = """
import sys
sys.modules["torch"] = None
from models.registry import MODELS
from models.neural.network import MissingTorchError
MODELS["cooccurrence"]()
for name in ("bpr", "lightgcn", "dot-product", "deep", "sequence"):
    try:
        MODELS[name]()
    except MissingTorchError as error:
        print(error)
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert process.count("needs torch: pip install 'millrace[train]'") == 5
