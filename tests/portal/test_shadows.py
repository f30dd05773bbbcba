"""Shadows on the operations view: their figures against what is shown, and no promotion."""

from __future__ import annotations

from domain.experiment_results import ArmShadow, ShadowFigures, ShadowShares
from infra import clock
from streams.core.experiment_results.shadow_results import shadow_results
from tests.portal.browser import Browser
from tests.portal.served_page import Pipeline, needs_browser, serving
from tests.portal.test_experiments import open_experiments, running, texts


@needs_browser
async def test_a_shadow_shows_how_its_lists_differ(pipeline: Pipeline, chromium: Browser) -> None:
    experiment = running(is_shadow=True)
    await pipeline.experiments.write([experiment])
    total = ShadowFigures(
        rankings=1_200,
        overlap=0.75,
        rank_biased_overlap=0.8125,
        first_place_changes=0.25,
        score_difference=0.5,
        shown_ranking_ms=2.0,
        ranking_ms=3.0,
        sources=[ShadowShares(label="trending", shown_share=0.5, shadow_share=0.25)],
        categories=[ShadowShares(label="", shown_share=1.0, shadow_share=1.0)],
    )
    shadow = ArmShadow(last_hour=ShadowFigures(rankings=0), total=total)
    await pipeline.experiment_results.write(
        shadow_results(experiment, {"surprising": shadow}, now_ms=clock.now_ms() - 20_000)
    )
    async with serving(pipeline) as url:
        await open_experiments(chromium, url)
        assert await chromium.js(texts(".chip")) == ["running", "shadow"]
        assert await chromium.js(texts(".scroller tbody th")) == [
            "as it isshown",
            "surprisinglast hour",
            "surprisingin all · SERENDIPITY_WEIGHT=1",
        ]
        cells = await chromium.js(texts(".scroller tbody td"))
        assert cells[:6] == ["–"] * 6
        assert cells[6:8] == ["0", "–"]
        assert cells[12:] == ["1,200", "0.750", "0.813", "25%", "+0.50", "3.0 ms, 2.0 ms"]
        assert (await chromium.js(texts(".arms:not(.scroller .arms) tbody tr"))) == ["trending50%25%", "(none)100%100%"]
        assert await chromium.js(texts("code.command")) == [
            "millrace experiments pause surprise",
            "millrace experiments complete surprise",
        ]
        assert not await chromium.js(texts(".lifts"))
