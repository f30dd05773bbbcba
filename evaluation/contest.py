"""Runs every contestant with every seed over one stream, one after the other or in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from evaluation import contestant
from evaluation.contestant import EvalContext
from evaluation.protocol import Part
from evaluation.replay import ReplayOutcome, replay
from evaluation.stream import Stream, of_dataset
from loaders.datasets import detect


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask:
    """One model with one seed over a data set, named by its path so that another process can read it."""

    path: Path
    repeats: bool | None
    protocol: str
    part: Part
    model: str
    seed: int
    cold: bool = False
    rating_scale: float | None = None


@dataclass(slots=True)
class RunResult:
    """What came out: the outcomes of each model, one per seed, and whom we had to leave out, and why."""

    runs: dict[str, list[ReplayOutcome]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


OnProgress = Callable[[RunTask, int], None]
"""Hears how many events a task has learned."""


def run(tasks: Sequence[RunTask], stream: Stream, *, jobs: int, on_progress: OnProgress) -> RunResult:
    """Run tasks over their stream; with several jobs each process reads the data for itself."""
    pairs = _in_turn(tasks, stream, on_progress) if jobs == 1 else _side_by_side(tasks, jobs, on_progress, len(stream))
    outcomes = dict(pairs)
    result = RunResult()
    for task in tasks:
        outcome = outcomes[task]
        if isinstance(outcome, str):
            result.skipped[task.model] = outcome
        else:
            result.runs.setdefault(task.model, []).append(outcome)
    return result


def _in_turn(
    tasks: Sequence[RunTask], stream: Stream, on_progress: OnProgress
) -> Iterator[tuple[RunTask, ReplayOutcome | str]]:
    for task in tasks:
        yield task, _outcome(task, stream, lambda learned, task=task: on_progress(task, learned))  # type: ignore[misc]


def _side_by_side(
    tasks: Sequence[RunTask], jobs: int, on_progress: OnProgress, events: int
) -> Iterator[tuple[RunTask, ReplayOutcome | str]]:
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_elsewhere, task): task for task in tasks}
        for future in as_completed(waiting):
            on_progress(waiting[future], events)
            yield waiting[future], future.result()


def _elsewhere(task: RunTask) -> ReplayOutcome | str:
    return _outcome(task, _read(task.path, task.repeats, task.rating_scale), lambda learned: None)


@lru_cache(maxsize=1)
def _read(path: Path, repeats: bool | None, rating_scale: float | None) -> Stream:
    return of_dataset(detect.read(path), repeats=repeats, rating_scale=rating_scale)


def _outcome(task: RunTask, stream: Stream, on_progress: Callable[[int], None]) -> ReplayOutcome | str:
    """Return what came of a task, or why it could not be run."""
    try:
        model = contestant.build(
            task.model, EvalContext(catalogue=stream.catalogue, repeats=stream.repeats, seed=task.seed)
        )
    except ModuleNotFoundError as error:
        return f"needs the package {error.name}"
    return replay(model, stream, task.protocol, part=task.part, seed=task.seed, cold=task.cold, on_progress=on_progress)
