"""Settings reach the parameters under their own names, and their defaults stand nowhere else."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cli.commands.stack.demo.plan import with_new_ids
from infra.local.process import Child
from infra.postgres.hybrid_search import HybridSearch
from infra.postgres.shop_search import PostgresShopSearch
from infra.settings import Settings, specifications
from loaders.datasets.product_column import ProductFormat
from models.neighbours.cooccurrence import HALF_LIFE_DAYS
from streams.core.item.socialverse_mapping import interaction
from streams.core.learning.item_weights import model_event
from streams.roles.collect.collector import Collector
from streams.roles.shop.similarity_fit import fit, fit_model
from streams.roles.trainer.learner_params import learner_params
from streams.runtime import core_params
from streams.runtime.faust_role import batch_limits
from streams.transport import faust_app

ROOT = Path(__file__).parents[3]


class Case(NamedTuple):
    """Parameters, how they are built, and the prefix of their settings that their class states."""

    build: Callable[[Settings], Any]
    prefix: str = ""
    parsed_fields: frozenset[str] = frozenset()
    """Fields that are not the setting's own value, but made of it."""


CASES = {
    "user": Case(core_params.user_params, parsed_fields=frozenset({"triggers"})),
    "triggers": Case(
        lambda settings: core_params.user_params(settings).triggers, "trigger_", parsed_fields=frozenset({"schedule"})
    ),
    "signal": Case(core_params.signal_params),
    "rank": Case(
        core_params.rank_params,
        parsed_fields=frozenset({"allow_repeat_items", "exploration", "feature_weight_factors", "surfaces"}),
    ),
    "exploration": Case(core_params.exploration_params, "exploration_"),
    "llm blend": Case(core_params.llm_blend_params),
    "prefetch": Case(core_params.prefetch_params, parsed_fields=frozenset({"prompt_fields"})),
    "push": Case(core_params.push_params, "push_"),
    "home": Case(core_params.home_mix, "shop_"),
    "learner": Case(learner_params, parsed_fields=frozenset({"user", "signal", "rank", "item_weights", "encoder"})),
    "batches": Case(batch_limits),
}
SETTINGS = {spec.name: spec.default for spec in specifications()}


def setting_of(case: Case, field: str) -> str:
    """Return the name of the attribute of the settings that a field has the name of, empty if there is none."""
    names = (field, case.prefix + field)
    return next((name for name in names if hasattr(Settings, name)), "")


def changed(value: Any) -> Any:
    """Return another valid value of a number, a truth value or a time zone."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return "Europe/Lisbon"
    return value / 2 if isinstance(value, float) else value + 1


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_parameter_has_the_name_of_its_setting_and_no_default(case: Case) -> None:
    specs = [spec for spec in fields(case.build(Settings())) if spec.name not in case.parsed_fields]
    without_default = {spec.name for spec in specs if spec.default is MISSING and spec.default_factory is MISSING}
    assert without_default == {spec.name for spec in specs if setting_of(case, spec.name)}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_parameter_has_the_value_of_its_setting(case: Case) -> None:
    names = {spec.name: setting_of(case, spec.name) for spec in fields(case.build(Settings()))}
    for field, setting in names.items():
        if field in case.parsed_fields or setting not in SETTINGS:
            continue
        settings = replace(Settings(), **{setting: changed(SETTINGS[setting])})
        assert getattr(case.build(settings), field) == getattr(settings, setting) != SETTINGS[setting], field


def test_every_parameter_is_read_by_code_that_does_not_build_it() -> None:
    builders = {ROOT / "streams" / "runtime" / "core_params.py", ROOT / "streams" / "roles/trainer/learner_params.py"}
    sources = {path for package in ("streams", "models", "infra") for path in (ROOT / package).rglob("*.py")} - builders
    names = {
        node.attr
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and not ast.unparse(node.value).endswith("settings")
    }
    assert {spec.name for case in CASES.values() for spec in fields(case.build(Settings()))} - names == set()


def test_items_out_of_stock_are_hidden_or_ranked_last_as_set() -> None:
    hiding = [core_params.rank_params(Settings(out_of_stock=name)).hides_out_of_stock for name in ("hide", "last")]
    assert hiding == [True, False]


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (faust_app, {"store", "limits", "commit_interval_s"}),
        (PostgresShopSearch, {"radius_km", "hides_out_of_stock"}),
        (HybridSearch, {"radius_km", "hides_out_of_stock"}),
        (Collector, {"rating_scale"}),
        (ProductFormat, {"rating_scale"}),
        (interaction, {"rating_scale"}),
        (model_event, {"rating_scale"}),
        (with_new_ids, {"rating_scale"}),
        (fit_model, {"features"}),
        (fit, {"features"}),
    ],
)
def test_functions_have_no_default_of_a_setting(function: Callable[..., Any], names: set[str]) -> None:
    parameters = inspect.signature(function).parameters
    assert {name for name in names if parameters[name].default is not inspect.Parameter.empty} == set()


def test_a_child_process_without_a_setting_has_no_watchdog_timeout() -> None:
    assert inspect.signature(Child).parameters["watchdog_timeout_s"].default == 0.0


def test_the_cooccurrence_model_forgets_by_default_as_the_setting_says() -> None:
    assert Settings().cooccurrence_half_life_days == HALF_LIFE_DAYS
