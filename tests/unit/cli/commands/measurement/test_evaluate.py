import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from models.base import Model
from models.registry import MODELS

RUN = CliRunner()


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    """Everybody likes i0 most, then i1, and so on, in a stream of 500 events with one bad line."""
    draw = np.random.default_rng(0)
    lines = [f"u{draw.integers(40)},i{int(draw.exponential(8))},{1_000 + n // 3}" for n in range(500)]
    lines.insert(10, "u1,i1,whenever")
    file = tmp_path / "clicks.csv"
    file.write_text("\n".join(["user,item,timestamp", *lines]))
    return file


def test_the_lists_give_the_reports_figures_again(clicks: Path, tmp_path: Path) -> None:
    report, lists = tmp_path / "report.json", tmp_path / "lists.jsonl"
    flags = ["--models", "popularity,random", "--json", str(report), "--lists", str(lists)]
    result = RUN.invoke(app, ["evaluate", "--data", str(clicks), *flags])
    assert result.exit_code == 0, result.output
    assert "items may repeat" in result.output
    body = json.loads(report.read_text())
    assert body["data"]["bad_lines"] == ["clicks.csv:12: 'whenever' is not a time"]
    assert body["reference"] == "popularity"
    rows = [json.loads(line) for line in lists.read_text().splitlines()]
    events = [line.split(",") for line in clicks.read_text().splitlines()[1:] if "whenever" not in line]
    for model in ("popularity", "random"):
        own = [row for row in rows if row["model"] == model]
        assert sorted(row["index"] for row in own) == list(range(400, 500))
        assert all([row["user"], row["item"]] == events[row["index"]][:2] for row in own)
        assert all(len(set(row["top"])) == 10 for row in own)
        hits = [row["item"] in row["top"] for row in own]
        gains = [1 / np.log2(2 + row["top"].index(row["item"])) if row["item"] in row["top"] else 0.0 for row in own]
        assert body["models"][model]["hr"] == pytest.approx(np.mean(hits))
        assert body["models"][model]["ndcg"] == pytest.approx(np.mean(gains))
        assert body["models"][model]["precision"] == pytest.approx(np.mean(hits) / 10)


def test_a_model_without_its_package_is_skipped_with_a_reason(clicks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def heavy() -> Model:
        raise ModuleNotFoundError("No module named 'heavy'", name="heavy")

    monkeypatch.setitem(MODELS, "heavy", heavy)
    result = RUN.invoke(app, ["evaluate", "--data", str(clicks), "--models", "heavy,popularity"])
    assert result.exit_code == 0, result.output
    assert "skipped heavy: needs the package heavy" in result.output


def test_several_processes_find_what_one_finds(clicks: Path, tmp_path: Path) -> None:
    results = []
    for jobs in ("1", "2"):
        report = tmp_path / f"{jobs}.json"
        flags = ["--models", "popularity,random", "--seeds", "2", "--jobs", jobs, "--json", str(report)]
        assert RUN.invoke(app, ["evaluate", "--data", str(clicks), *flags]).exit_code == 0
        results.append(json.loads(report.read_text())["models"])
    for name in ("popularity", "random"):
        assert results[0][name]["by_seed"] == results[1][name]["by_seed"]
    assert results[0]["random"]["by_seed"][0] != results[0]["random"]["by_seed"][1]
    assert results[0]["random"]["spread"]["hr"] == pytest.approx(
        np.std([run["hr"] for run in results[0]["random"]["by_seed"]])
    )


def test_the_blend_has_the_settings_of_a_file(clicks: Path, tmp_path: Path) -> None:
    few, config = tmp_path / "few.csv", tmp_path / "config.env"
    few.write_text("\n".join(clicks.read_text().splitlines()[:150]))
    lists = []
    for lines in ("# repeats\nALLOW_REPEAT_ITEMS = true", "ALLOW_REPEAT_ITEMS=false"):
        config.write_text(lines)
        file = tmp_path / "lists.jsonl"
        flags = ["--models", "blend", "--config", str(config), "--lists", str(file)]
        result = RUN.invoke(app, ["evaluate", "--data", str(few), *flags])
        assert result.exit_code == 0, result.output
        lists.append(file.read_text())
    assert lists[0] != lists[1]
    config.write_text("NO_SUCH_SETTING=1")
    result = RUN.invoke(app, ["evaluate", "--data", str(few), "--models", "blend", "--config", str(config)])
    assert result.exit_code == 1
    assert "NO_SUCH_SETTING" in result.stderr


def test_each_ablated_source_is_compared_with_the_whole_blend(clicks: Path, tmp_path: Path) -> None:
    report, few = tmp_path / "ablation.json", tmp_path / "few.csv"
    few.write_text("\n".join(clicks.read_text().splitlines()[:150]))
    result = RUN.invoke(app, ["evaluate", "--data", str(few), "--ablate", "sources", "--json", str(report)])
    assert result.exit_code == 0, result.output
    made_report = json.loads(report.read_text())
    assert made_report["reference"] == "blend"
    assert made_report["models"]["blend"]["against_reference"] is None
    for name in ("blend-neighbors", "blend-popular", "blend-again"):
        figures = made_report["models"][name]
        apart = figures["against_reference"]["hr"]
        assert apart["low"] <= figures["hr"] - made_report["models"]["blend"]["hr"] <= apart["high"]
        assert name in result.output


def test_users_are_held_out_and_their_lists_say_what_was_known(clicks: Path, tmp_path: Path) -> None:
    report, lists = tmp_path / "cold.json", tmp_path / "lists.jsonl"
    flags = ["--models", "cooccurrence", "--cold", "--seeds", "2", "--json", str(report), "--lists", str(lists)]
    result = RUN.invoke(app, ["evaluate", "--data", str(clicks), *flags])
    assert result.exit_code == 0, result.output
    body = json.loads(report.read_text())["models"]["cooccurrence"]
    assert [row["known"] for row in body["by_known"]] == [0, 1, 2, 3, 5, 10, None]
    rows = [json.loads(line) for line in lists.read_text().splitlines()]
    nothing = [row for row in rows if row["known"] == 0]
    assert 0 < len(nothing) < body["cases"], "the lists are the first seed's"
    assert len(rows) == 7 * len(nothing)


def test_feeds_as_served_are_compared_with_lists_made_at_the_event(clicks: Path, tmp_path: Path) -> None:
    report, lists = tmp_path / "served.json", tmp_path / "lists.jsonl"
    flags = ["--protocol", "as-served", "--models", "cooccurrence", "--delay-ms", "200"]
    result = RUN.invoke(app, ["evaluate", "--data", str(clicks), *flags, "--json", str(report), "--lists", str(lists)])
    assert result.exit_code == 0, result.output
    figures = json.loads(report.read_text())
    as_served, at_the_event = (figures["models"][f"cooccurrence{name}"] for name in ("", " (prequential-strict)"))
    assert as_served["cases"] == at_the_event["cases"] == 100
    assert [row["cases"] for row in as_served["by_gap"]] == [row["cases"] for row in at_the_event["by_gap"]]
    assert figures["reference"] == "prequential-strict"
    loss = as_served["against_reference"]["ndcg"]
    assert loss["low"] <= as_served["ndcg"] - at_the_event["ndcg"] <= loss["high"]
    assert loss["mean"] < 0, "one list serves until the user's next event, whatever others do meanwhile"
    assert "against prequential-strict, by the same time" in result.output
    assert len(lists.read_text().splitlines()) == 200


def test_frozen_models_are_compared_with_live_ones_on_the_five_core(clicks: Path, tmp_path: Path) -> None:
    reports = []
    for jobs in ("1", "2"):
        report = tmp_path / f"{jobs}.json"
        flags = ["--protocol", "successive", "--models", "popularity,cooccurrence", "--jobs", jobs]
        result = RUN.invoke(app, ["evaluate", "--data", str(clicks), *flags, "--json", str(report)])
        assert result.exit_code == 0, result.output
        assert "successive keeps clicks: " in result.output
        reports.append(json.loads(report.read_text()))
    one, other = reports
    assert list(one["models"]) == [
        "popularity", "popularity (successive-live)", "cooccurrence", "cooccurrence (successive-live)",
    ]  # fmt: skip
    assert one["data"]["events"] < 500
    for name, model in one["models"].items():
        assert model["cases"] == one["models"]["popularity"]["cases"]
        assert model["by_seed"] == other["models"][name]["by_seed"], "each process prepares the same data"
    apart = one["models"]["popularity"]["against_reference"]["hr"]
    static, live = (one["models"][f"popularity{name}"]["hr"] for name in ("", " (successive-live)"))
    assert apart["low"] <= static - live <= apart["high"]


def test_a_stream_without_a_core_is_answered_with_other_protocols(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("user,item,timestamp\na,x,100\nb,y,200\n")
    result = RUN.invoke(app, ["evaluate", "--data", str(tmp_path), "--protocol", "successive"])
    assert result.exit_code == 1
    assert "No events are left for successive." in result.stderr


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--protocol", "guesswork"], "prequential-strict"),
        (["--models", "oracle"], "decayed-popularity"),
        (["--part", "train"], "test, validation, all"),
        (["--ablate", "whims"], "sources, parts, alone"),
        (["--protocol", "rmse"], "no ratings"),
        (["--protocol", "successive", "--part", "all"], "test, validation"),
        (["--protocol", "as-served", "--cold"], "holds no users out"),
    ],
)
def test_an_unknown_option_is_answered_with_the_valid_ones(clicks: Path, flags: list[str], problem: str) -> None:
    result = RUN.invoke(app, ["evaluate", "--data", str(clicks), *flags])
    assert result.exit_code == 1
    assert problem in result.stderr
    assert "Traceback" not in result.output


def test_ratings_above_a_named_scale_are_answered_with_the_scale(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("user,item,rating,timestamp\na,x,9,100\nb,y,4,200\n")
    result = RUN.invoke(app, ["evaluate", "--data", str(tmp_path), "--models", "popularity", "--rating-scale", "5"])
    assert result.exit_code == 1
    assert "Ratings go up to 9." in result.stderr
    result = RUN.invoke(app, ["evaluate", "--data", str(tmp_path), "--models", "popularity", "--rating-scale", "10"])
    assert result.exit_code == 0, result.output
    assert "read as utf-8, separated by commas" in result.output


def test_data_of_an_unknown_format_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["evaluate", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "check-in arrays" in result.stderr


def test_ratings_are_predicted_and_plots_drawn(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("".join(f"{n % 9}\t{n % 7}\t{1 + n % 5}\t{n}\n" for n in range(300)))
    report, plots = tmp_path / "rmse.json", tmp_path / "plots"
    result = RUN.invoke(app, ["evaluate", "--data", str(tmp_path), "--protocol", "rmse", "--json", str(report)])
    assert result.exit_code == 0, result.output
    body = json.loads(report.read_text())
    assert body["cases"] == 60
    assert body["models"]["mean"]["rmse"] == pytest.approx(np.std([0, 0.25, 0.5, 0.75, 1]), abs=1e-6)
    assert body["models"]["mean"]["mae"] == pytest.approx(0.3, abs=1e-6)
    assert "MAE" in result.output
    for flags, plot in (
        ([], "coverage-accuracy"),
        (["--part", "all"], "learning-curve"),
        (["--cold"], "cold-curve"),
    ):
        options = ["--models", "blend,popularity", "--plots", str(plots / plot), *flags]
        assert RUN.invoke(app, ["evaluate", "--data", str(tmp_path), *options]).exit_code == 0
        images = {file.name: file.read_bytes() for file in (plots / plot).iterdir()}
        assert set(images) == {f"{plot}.svg", f"{plot}.png"}
        assert b"</svg>" in images[f"{plot}.svg"]
