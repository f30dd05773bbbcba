import json
from pathlib import Path

from typer.testing import CliRunner

from cli.main import app

RUN = CliRunner()


def films(folder: Path) -> Path:
    """Write ratings of films of two genres, each user's of one genre, in MovieLens's format."""
    titles = [f"{film},Film {film} (1999),{'Comedy' if film % 2 else 'War'}" for film in range(1, 81)]
    ratings = [
        f"{user},{film},5.0,{1_000_000 + 40 * user + film}"
        for user in range(1, 41)
        for film in range(1 + user % 2, 81, 2)
    ]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *titles]))
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *ratings]))
    return folder


def test_new_films_are_ordered_by_their_genre(tmp_path: Path) -> None:
    flags = ["--data", str(films(tmp_path)), "--seeds", "2"]
    result = RUN.invoke(app, ["evaluate-new-items", *flags, "--json"])
    assert result.exit_code == 0, result.output
    reports = [json.loads(line) for line in result.output.splitlines()]
    assert [report["held_out_items"] for report in reports] == [16, 16]
    assert all(report["by_text"] > 0.9 for report in reports)
    assert "mean" in RUN.invoke(app, ["evaluate-new-items", *flags]).output


def test_data_without_texts_are_refused(tmp_path: Path) -> None:
    clicks = tmp_path / "clicks.csv"
    clicks.write_text("user,item,timestamp\nu1,i1,1\nu2,i2,2\n")
    result = RUN.invoke(app, ["evaluate-new-items", "--data", str(clicks)])
    assert result.exit_code == 1
    assert "has no catalogue" in result.output
    assert RUN.invoke(app, ["evaluate-new-items", "--data", str(tmp_path / "nothing")]).exit_code == 1
