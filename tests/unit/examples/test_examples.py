"""The examples that need no servers do what they say; the others run in `tests/pipeline/test_examples.py`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from examples import evaluate_models, own_endpoint, own_model
from examples.own_fetcher import books
from streams.fetchers import FETCHERS
from tests.installing import install

FOLDER = Path(__file__).parents[3] / "examples"


def test_each_example_is_listed_and_says_how_to_run_it() -> None:
    programs = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.py")}
    names = set(re.findall(r"\]\((\w[\w/]*\.py)\)", (FOLDER / "README.md").read_text()))
    assert names == programs
    for name in programs:
        assert f"    python examples/{name}" in (FOLDER / name).read_text(), name


def ndcg_by_model(output: str) -> dict[str, float]:
    """Return the NDCG@10 that a program prints for each model."""
    return {name: float(ndcg) for name, ndcg in re.findall(r"^(\S+) +NDCG@10 ([\d.]+)", output, re.MULTILINE)}


def test_the_model_beats_popularity(capsys: pytest.CaptureFixture[str]) -> None:
    own_model.main()
    ndcg = ndcg_by_model(capsys.readouterr().out)
    assert ndcg["next-item"] > 1.5 * ndcg["popularity"] > 0


def test_the_evaluation_prints_each_model_with_its_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "clicks.csv"
    lines = (
        f"{event.user_id},{event.item_id},{event.occurred_at}\n" for event in own_model.generated_clicks().interactions
    )
    path.write_text(f"user,item,timestamp\n{''.join(lines)}")
    evaluate_models.main(path, "popularity,item-knn")
    output = capsys.readouterr().out
    ndcg = ndcg_by_model(output)
    assert ndcg["item-knn"] > ndcg["popularity"] > 0
    for name, low, high in re.findall(r"^(\S+) .* \[([\d.]+), ([\d.]+)\]", output, re.MULTILINE):
        assert float(low) <= ndcg.pop(name) <= float(high)
    assert not ndcg


async def test_the_endpoint_is_served_and_documented_and_knows_its_errors() -> None:
    app = await own_endpoint.build()
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        answer = await http.get("/categories/alex")
        missing = await http.get("/categories/nobody")
        document = (await http.get("/openapi.json")).json()
    assert answer.json() == {"user_id": "alex", "counts": {"music": 2, "films": 1}}
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "no_feed")
    assert "Categories" in str(document["paths"]["/categories/{user_id}"]["get"]["responses"]["200"])


def test_an_installed_fetcher_can_be_enabled(tmp_path: Path) -> None:
    assert "books" not in FETCHERS
    site = install(FOLDER / "own_fetcher", tmp_path)
    program = (
        "from infra.settings import read_settings\n"
        "from streams.runtime.core_params import fetchers\n"
        "print(fetchers(read_settings({'FETCH_CATEGORIES': 'books=60'}))['books'].prompt_version)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=False
    )
    assert process.stdout.strip() == books.FETCHER.prompt_version, process.stderr
    assert books.FETCHER.prompt.startswith(FETCHERS["music"].prompt.partition("Suggest up to")[0])
