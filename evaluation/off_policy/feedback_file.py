"""Files of logged feedback, of any system: CSV, or JSON lines.

user          the user of the round; without one each round is a user of its own
reward        the reward of what was shown
propensity    the probability of showing it under the policy that did
target        the probability under the policy in question
estimate      the reward that a model expects of what was shown; with expectation, or not at all
expectation   the reward that the model expects of the policy in question
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from evaluation.off_policy.estimators import Feedback, FeedbackError

_NUMBERS = ("reward", "propensity", "target")
_MODEL = ("estimate", "expectation")
MAX_ROUNDS = 5_000_000
"""Rounds in memory, at some 200 bytes each while they are read."""


def read_feedback(path: Path) -> Feedback:
    """Return the feedback of a file.

    Args:
        path: A file whose name ends with .csv or .jsonl.

    Raises:
        FeedbackError: the file has no such columns, or values that are no numbers or out of range.
    """
    rows = {".csv": _csv_rows, ".jsonl": _json_rows}.get(path.suffix)
    if rows is None:
        raise FeedbackError(f"{path.name} must end with .csv or .jsonl")
    users: dict[str, int] = {}
    numbers, columns = [], []
    for line, row in enumerate(rows(path), start=1):
        if line > MAX_ROUNDS:
            raise FeedbackError(f"{path.name} has more than {MAX_ROUNDS:,} rounds")
        user = row.get("user")
        numbers.append(users.setdefault(str(line) if user in {None, ""} else f"user {user}", len(users)))
        columns.append([*(_number(row, name, line) for name in _NUMBERS), *_model_of(row, line)])
    values = np.array(columns, np.float64).reshape(-1, len(_NUMBERS) + len(_MODEL))
    return Feedback(np.array(numbers, np.intp), *values.T)


def _model_of(row: Mapping[str, Any], line: int) -> list[float]:
    if all(row.get(name) in {None, ""} for name in _MODEL):
        return [0.0, 0.0]
    return [_number(row, name, line) for name in _MODEL]


def _number(row: Mapping[str, Any], name: str, line: int) -> float:
    try:
        return float(row[name])
    except KeyError:
        raise FeedbackError(f"round {line} has no {name}") from None
    except (TypeError, ValueError):
        raise FeedbackError(f"round {line}: {name} is no number: {row[name]!r}") from None


def _csv_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file)
    except (csv.Error, UnicodeDecodeError) as error:
        raise FeedbackError(f"{path.name} is no CSV: {error}") from error


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    with path.open("rb") as file:
        for line in file:
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise FeedbackError(f"{path.name} has a line that is no JSON object: {error}") from error
