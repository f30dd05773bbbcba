"""Experiments on the operations view: arms, lifts and alarms, what is missing, and who may see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from domain.experiment_results import ArmFigures, ExperimentResults, MetricFigures
from infra import clock
from infra.settings import Settings
from schemas.types import Arm, ArmPause, Experiment
from tests.build import a_profile, an_experiment
from tests.portal.browser import Browser
from tests.portal.served_page import NASTY, Pipeline, needs_browser, serving

SECRET = "s" * 32
ARMS = [
    Arm(name="as it is", share=0.5),
    Arm(name="surprising", share=0.5, parameters={"SERENDIPITY_WEIGHT": "1"}),
]


def figures(value: float, low: float | None = None, lift: float | None = None, high: float | None = None) -> Any:
    return MetricFigures(value=value, lift_low=low, lift=lift, lift_high=high)


def running(**overrides: Any) -> Experiment:
    fields: dict[str, Any] = {"experiment_id": "surprise", "name": "More surprises", "status": "running", "arms": ARMS}
    return an_experiment(**(fields | {"metric": "click_through_rate"} | overrides))


def results(**overrides: Any) -> ExperimentResults:
    now_ms = clock.now_ms()
    control = {
        "items_shown": figures(30.0),
        "click_through_rate": figures(0.1),
        "skip_rate": figures(0.2),
        "conversion_rate": figures(0.01),
        "ndcg": figures(0.5),
        "novelty": figures(9.0),
    }
    arm = {
        "items_shown": figures(31.0, -0.02, 0.033, 0.09),
        "click_through_rate": figures(0.112, 0.03, 0.12, 0.21),
        "skip_rate": figures(0.25, 0.05, 0.25, 0.48),
        "conversion_rate": figures(0.012, -0.6, 0.2, 2.6),
        "ndcg": figures(0.51),
        "novelty": figures(9.5, 0.01, 0.055, 0.1),
    }
    fields: dict[str, Any] = {
        "experiment_id": "surprise",
        "computed_at": now_ms - 20_000,
        "since": now_ms - 3_600_000,
        "control": "as it is",
        "arms": [
            ArmFigures(name="as it is", share=0.5, users=1_000, metrics=control),
            ArmFigures(name="surprising", share=0.5, users=1_020, metrics=arm),
        ],
        "users_of_several_arms": 0,
        "sample_ratio_p": 1.0,
        "has_sample_ratio_mismatch": False,
    }
    return ExperimentResults(**(fields | overrides))


def texts(selector: str) -> str:
    return f"[...document.querySelectorAll('#experiments {selector}')].map(one => one.textContent)"


async def open_experiments(chromium: Browser, url: str, count: int = 1, **options: Any) -> None:
    await chromium.open(f"{url}/operations#user=ann", **options)
    await chromium.until(f"document.querySelectorAll('#experiments .experiment').length === {count}")


@needs_browser
async def test_an_experiment_shows_its_arms_and_each_lift_with_its_interval(
    pipeline: Pipeline, chromium: Browser
) -> None:
    await pipeline.experiments.write([running()])
    await pipeline.experiment_results.write(results())
    async with serving(pipeline) as url:
        await open_experiments(chromium, url)
        assert await chromium.js(texts(".chip")) == ["running"]
        assert await chromium.js(texts(".arms tbody th")) == ["as it iscontrol", "surprisingSERENDIPITY_WEIGHT=1"]
        cells = await chromium.js(texts(".arms tbody td"))
        assert cells == ["50%", "1,00049.5%", "30,000", "50%", "1,02050.5%", "31,620"]
        lifts = [
            await chromium.js(texts(f".lift .{part}"))
            for part in ("lift-name > :first-child", "lift-text", "lift-verdict")
        ]
        assert list(zip(*lifts, strict=True)) == [
            ("Click-through rate", "+12%+3% to +21%", "better"),
            ("Items shown to a user", "+3.3%-2% to +9%", "no difference yet"),
            ("Skip rate", "+25%+5% to +48%", "worse"),
            ("Conversion rate", "+20%-60% to +260%", "no difference yet"),
            ("NDCG", "", "not enough evidence"),
            ("Novelty", "+5.5%+1% to +10%", "higher"),
        ]
        names = await chromium.js(texts(".lift-name"))
        assert [name for name in names if "decides" in name] == ["Click-through rate11.2% against 10% · decides"]
        assert await chromium.js(texts(".lift-scale")) == ["-50%0%+50%"]
        bar = "document.querySelector('#experiments .interval .reach')"
        assert await chromium.js(f"['x', 'width'].map(name => Number({bar}.getAttribute(name)))") == pytest.approx(
            [106, 36]
        )
        assert await chromium.js("document.querySelectorAll('#experiments .interval .beyond').length") == 2
        assert (await chromium.js(texts(".experiment-age")))[0].startswith("Figures of ")
        assert await chromium.js(texts("code.command")) == [
            "millrace experiments pause surprise",
            "millrace experiments complete surprise",
            "millrace experiments promote surprise surprising",
        ]


@needs_browser
async def test_alarms_are_named_and_old_figures_too(pipeline: Pipeline, chromium: Browser) -> None:
    await pipeline.experiments.write([running()])
    unequal = [
        ArmFigures(name="as it is", share=0.5, users=1_000, metrics={"skip_rate": figures(0.2)}),
        ArmFigures(
            name="surprising",
            share=0.5,
            users=700,
            metrics={"skip_rate": figures(0.5, 1.0, 1.5, 2.0)},
            breaches=["skip_rate"],
        ),
    ]
    await pipeline.experiment_results.write(
        results(
            arms=unequal,
            computed_at=clock.now_ms() - 3_600_000,
            users_of_several_arms=7,
            sample_ratio_p=0.00012,
            has_sample_ratio_mismatch=True,
        )
    )
    async with serving(pipeline) as url:
        await open_experiments(chromium, url)
        assert await chromium.js(texts("summary .breach")) == ["sample ratio mismatch", "guardrail breached"]
        assert await chromium.js(texts(".banner")) == [
            "Sample ratio mismatch: the users are not divided as the shares say (p = 0.00012). Trust"
            " none of these figures.",
            "Guardrail breached by surprising: Skip rate.",
        ]
        assert await chromium.js(texts(".lift-verdict")) == ["worseguardrail breached"]
        assert "7 users of several arms count in none" in (await chromium.js(texts(".experiment-body > .quiet")))[0]
        assert (await chromium.js(texts(".experiment-age.old")))[0].endswith("is an archive role up?")


@needs_browser
async def test_a_paused_arm_is_named_with_the_time_and_the_reason(pipeline: Pipeline, chromium: Browser) -> None:
    reason = "guardrail: click_through_rate -100% against the first arm, beyond -20% (300 and 310 users)"
    pauses = [ArmPause(paused_at=1_700_000_000_000, reason=reason)]
    arms = [*ARMS, Arm(name="bad one", share=0.0, pauses=pauses)]
    await pipeline.experiments.write([running(arms=arms)])
    async with serving(pipeline) as url:
        await open_experiments(chromium, url)
        assert await chromium.js(texts("summary .breach")) == ["arm paused"]
        [banner] = await chromium.js(texts(".banner"))
        assert banner.startswith("bad one is paused since Nov 1")
        assert banner.endswith(f": {reason}. The first arm ranks its users.")
        assert (await chromium.js(texts("code.command")))[0] == "millrace experiments start surprise --arm 'bad one'"
        both = [ARMS[0], Arm(name="surprising", share=0.5, pauses=pauses)]
        await pipeline.experiments.write([running(arms=both, status="paused", occurred_at=clock.now_ms())])
        await chromium.until("document.querySelector('#experiments .chip').textContent === 'paused'")
        assert await chromium.js(texts("code.command")) == [
            "millrace experiments start surprise --arm surprising",
            "millrace experiments complete surprise",
            "millrace experiments promote surprise surprising",
        ]
        arms = [ARMS[0], Arm(name="surprising", share=0.5, pauses=pauses)]
        await pipeline.experiments.write([running(arms=arms, status="completed", occurred_at=clock.now_ms() + 1)])
        await chromium.until("document.querySelector('#experiments .chip').textContent === 'completed'")
        assert await chromium.js(texts(".banner")) == []


@needs_browser
async def test_panels_follow_changes_and_stay_as_they_were_opened(pipeline: Pipeline, chromium: Browser) -> None:
    await pipeline.experiments.write([running(status="draft")])
    async with serving(pipeline) as url:
        await open_experiments(chromium, url)
        assert not await chromium.js("document.querySelector('.experiment').open")
        await chromium.js("document.querySelector('.experiment summary').click()")
        await chromium.js("document.querySelector('.experiment summary').focus()")
        assert await chromium.js(texts("code.command")) == ["millrace experiments start surprise"]
        await pipeline.experiment_results.write(results())
        await pipeline.experiments.write([running(occurred_at=clock.now_ms())])
        await chromium.until("document.querySelector('.experiment .lift')")
        assert await chromium.js(texts(".chip")) == ["running"]
        completion = running(status="completed", winner="surprising", occurred_at=clock.now_ms() + 1)
        await pipeline.experiments.write([completion])
        await chromium.until("document.querySelectorAll('.experiment .chip').length === 2")
        assert await chromium.js(texts(".chip")) == ["completed", "promoted: surprising"]
        assert await chromium.js("document.querySelector('.experiment').open")
        assert await chromium.js("document.activeElement === document.querySelector('.experiment summary')")


@needs_browser
async def test_without_experiments_the_page_tells_how_to_create_one(pipeline: Pipeline, chromium: Browser) -> None:
    async with serving(pipeline) as url:
        await chromium.open(f"{url}/operations#user=ann")
        text = await chromium.until("document.querySelector('#experiments .panel')?.textContent")
        assert text.startswith("No experiments yet.")
        assert "millrace experiments create surprise.json --start" in text


@needs_browser
async def test_without_the_scope_the_page_says_so(pipeline: Pipeline, chromium: Browser) -> None:
    await pipeline.experiments.write([running()])
    production = replace(Settings(), environment="production", jwt_secret=SECRET)
    async with serving(pipeline, settings=production) as url:
        await chromium.open(f"{url}/operations#user=ann")
        text = await chromium.until("document.getElementById('experiments').textContent")
        assert text == "Not accessible: sign in with a token of the scope service."


@needs_browser
async def test_the_page_shows_the_twenty_newest_and_texts_as_texts(pipeline: Pipeline, chromium: Browser) -> None:
    nasty = running(
        experiment_id="it's; rm -rf ~",
        name=NASTY,
        description=NASTY,
        status="draft",
        metric=NASTY,
        arms=[Arm(name=NASTY, share=0.5), Arm(name="other", share=0.5, parameters={"EPSILON": NASTY})],
        occurred_at=2_000_000_000_000,
    )
    many: Sequence[Experiment] = [running(experiment_id=f"x{number}", status="draft") for number in range(25)]
    await pipeline.experiments.write([nasty, *many])
    await pipeline.portraits.write_stated([a_profile(user_id="ann")])
    async with serving(pipeline) as url:
        await open_experiments(chromium, url, 20)
        assert (await chromium.js(texts("h3")))[0] == NASTY
        assert await chromium.js("document.querySelectorAll('#experiments img').length") == 0
        assert (await chromium.js(texts("code.command")))[0] == r"millrace experiments start 'it'\''s; rm -rf ~'"
        assert await chromium.js("document.getElementById('experiments').lastElementChild.textContent") == (
            "The 20 that changed last; millrace experiments lists all."
        )
        assert chromium.complaints == []


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
async def test_experiments_keep_nobody_out_and_fit_a_phone(pipeline: Pipeline, chromium: Browser, dark: bool) -> None:
    await pipeline.experiments.write(
        [running(), running(experiment_id="x2", status="draft"), running(experiment_id="x" * 200, status="completed")]
    )
    await pipeline.portraits.write_stated([a_profile(user_id="ann")])
    alarming = results(sample_ratio_p=0.001, has_sample_ratio_mismatch=True)
    await pipeline.experiment_results.write(alarming)
    await pipeline.experiment_results.write(results(experiment_id="x" * 200))
    async with serving(pipeline) as url:
        for width, height in ((390, 844), (1280, 900)):
            await open_experiments(chromium, url, 3, width=width, height=height, dark=dark)
            await chromium.js("document.querySelectorAll('.experiment').forEach(one => { one.open = true })")
            assert await chromium.js("document.documentElement.scrollWidth <= innerWidth")
            assert await chromium.barriers() == []
            assert chromium.complaints == []
