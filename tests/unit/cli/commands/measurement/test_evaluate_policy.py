import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app

RUN = CliRunner()
COLUMNS = "user,reward,propensity,target,estimate,expectation\n"


def test_a_file_of_feedback_gives_estimates_with_intervals(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(COLUMNS + "".join(f"u{n % 40},{n % 2},{0.5},{0.25 + n % 2 / 2},0.5,0.7\n" for n in range(200)))
    result = RUN.invoke(app, ["evaluate-policy", "--feedback", str(log), "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)["report"]
    assert report["logged"]["value"] == 0.5
    assert report["estimates"]["ips"]["value"] == pytest.approx(0.75)
    assert report["estimates"]["dr"]["value"] == pytest.approx(0.7 + 0.25)
    shown_text = RUN.invoke(app, ["evaluate-policy", "--feedback", str(log)]).output
    assert "200 items shown to 40 users" in shown_text


def test_lines_of_json_without_users_and_model_will_do(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"reward": 2, "propensity": 0.5, "target": 1}\n{"reward": 0, "propensity": 0.5, "target": 0}\n')
    report = json.loads(RUN.invoke(app, ["evaluate-policy", "--feedback", str(log), "--json"]).output)["report"]
    assert report["users"] == 2
    assert report["estimates"]["ips"]["value"] == report["estimates"]["dr"]["value"] == 2.0


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("log.csv", "reward,propensity\n1,0.5\n", "round 1 has no target"),
        ("log.csv", COLUMNS + "a,1,0.5,0.5,0.5,\n", "expectation is no number"),
        ("log.csv", COLUMNS + "a,x,0.5,0.5,,\n", "reward is no number"),
        ("log.csv", COLUMNS + "a,1,0,0.5,,\n", "propensities: must be above 0"),
        ("log.csv", COLUMNS, "there is no feedback"),
        ("log.jsonl", "[1]\n", "no JSON object"),
        ("log.txt", "", "must end with .csv or .jsonl"),
    ],
)
def test_files_that_cannot_be_read_are_refused(name: str, text: str, problem: str, tmp_path: Path) -> None:
    log = tmp_path / name
    log.write_text(text)
    result = RUN.invoke(app, ["evaluate-policy", "--feedback", str(log)])
    assert result.exit_code == 1
    assert problem in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("EXPLORATION_POLICY=none\n", "tell nothing of the policy none"),
        ("EXPLORATION_POLICY=epsilon-greedy\nEXPLORATION_SHARE=0.2\n", "tell nothing of a change of EXPLORATION_SHARE"),
    ],
)
def test_candidates_that_outcomes_do_not_tell_of_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    config = tmp_path / "candidate.env"
    config.write_text(text)
    result = RUN.invoke(app, ["evaluate-policy", "--config", str(config)])
    assert result.exit_code == 1
    assert problem in " ".join(result.output.split())


def test_one_policy_is_evaluated_at_a_time(tmp_path: Path) -> None:
    assert RUN.invoke(app, ["evaluate-policy"]).exit_code == 1
    log = tmp_path / "log.csv"
    log.write_text(COLUMNS)
    assert RUN.invoke(app, ["evaluate-policy", "--feedback", str(log), "--reward", "sighs"]).exit_code == 1
