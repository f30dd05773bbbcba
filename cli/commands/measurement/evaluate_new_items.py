"""`millrace evaluate-new-items`: offline evaluation of items without events."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from evaluation.new_items import NewItemReport, measure
from evaluation.protocols.stream import of_dataset
from infra.error import OperatorError
from loaders import DatasetError
from loaders.datasets import detect


def evaluate_new_items(
    data: Annotated[Path, typer.Option(metavar="PATH", help="A folder or file in a format of millrace evaluate.")],
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, each with other held-out items.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per seed.")] = False,
) -> None:
    """Hold out a fifth of the items, learn the others, and order the held-out ones for the users who liked them.

    The figures are shares of pairs in the right order, of an item that a user liked and one that not: by the embeddings
    that are mapped from texts, as feeds use them, and by the similarity of texts to those of the user's last items.

    Examples:

    millrace evaluate-new-items --data ml-100k --seeds 5
    """
    try:
        stream = of_dataset(detect.read(data))
    except DatasetError as error:
        raise OperatorError(str(error), "See millrace evaluate --help.") from error
    if not stream.catalogue:
        raise OperatorError(f"{data} has no catalogue.", "Choose a data set with the texts of its items.")
    reports = [measure(stream, seed=seed) for seed in range(seeds)]
    if as_json:
        for report in reports:
            print(msgspec.json.encode(report).decode())
    else:
        _show(reports)


def _show(reports: list[NewItemReport]) -> None:
    table = Table("seed", "items", "likes", "trust: embedding", "bias", "mapped", "text")
    for seed, report in enumerate(reports):
        figures = (*report.trust, report.by_mapped, report.by_text)
        cells = [str(report.held_out_items), str(report.choices), *(f"{value:.3f}" for value in figures)]
        table.add_row(str(seed), *cells)
    if len(reports) > 1:
        table.add_section()
        means = (mean(getattr(report, name) for report in reports) for name in ("by_mapped", "by_text"))
        table.add_row("mean", "", "", "", "", *(f"{value:.3f}" for value in means))
    Console(highlight=False).print(table)
