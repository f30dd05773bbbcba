"""Runner of the evaluation: every model with every seed over one stream, in sequence or in separate processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from evaluation.contestants import contestant
from evaluation.contestants.contestant import EvalContext
from evaluation.protocols.as_served import ServingDelays
from evaluation.protocols.protocol import PROTOCOLS
from evaluation.protocols.replay import ReplayOutcome, replay
from evaluation.protocols.split import Split
from evaluation.protocols.stream import Stream, of_dataset
from infra.settings import Settings
from loaders.datasets import detect


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask:
    """One model with one seed over a data set; the path lets another process read the data."""

    path: Path
    repeats: bool | None
    protocol: str
    split: Split
    model: str
    seed: int
    cold: bool = False
    rating_scale: float | None = None
    delays: ServingDelays = field(default_factory=ServingDelays)
    settings: Settings = field(default_factory=Settings)
    """The settings of the blend."""
    label: str | None = None
    """Name of the outcome in the report; that of the model if None."""

    @property
    def name(self) -> str:
        """Return the name of the outcome in the report."""
        return self.label or self.model


@dataclass(slots=True)
class RunResult:
    """Outcomes by label, one per seed, and the reasons for skipped models."""

    runs: dict[str, list[ReplayOutcome]] = field(default_factory=dict)
    skip_reasons: dict[str, str] = field(default_factory=dict)


OnTaskProgress = Callable[[RunTask, int], None]
"""Called with a task and its number of learned events."""


def run(tasks: Sequence[RunTask], stream: Stream, *, jobs: int, on_progress: OnTaskProgress) -> RunResult:
    """Run tasks over their stream, as their protocol prepares it; with several jobs each process reads the data."""
    pairs = _in_turn(tasks, stream, on_progress) if jobs == 1 else _side_by_side(tasks, jobs, on_progress, len(stream))
    outcomes = dict(pairs)
    result = RunResult()
    for task in tasks:
        outcome = outcomes[task]
        if isinstance(outcome, str):
            result.skip_reasons[task.name] = outcome
        else:
            result.runs.setdefault(task.name, []).append(outcome)
    return result


def _in_turn(
    tasks: Sequence[RunTask], stream: Stream, on_progress: OnTaskProgress
) -> Iterator[tuple[RunTask, ReplayOutcome | str]]:
    for task in tasks:
        yield task, _outcome(task, stream, lambda count, task=task: on_progress(task, count))  # type: ignore[misc]


def _side_by_side(
    tasks: Sequence[RunTask], jobs: int, on_progress: OnTaskProgress, events: int
) -> Iterator[tuple[RunTask, ReplayOutcome | str]]:
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_elsewhere, task): task for task in tasks}
        for future in as_completed(waiting):
            on_progress(waiting[future], events)
            yield waiting[future], future.result()


def _elsewhere(task: RunTask) -> ReplayOutcome | str:
    stream = _read(task.path, task.protocol, task.repeats, task.rating_scale)
    return _outcome(task, stream, lambda count: None)


@lru_cache(maxsize=1)
def _read(path: Path, protocol: str, repeats: bool | None, rating_scale: float | None) -> Stream:
    return PROTOCOLS[protocol].prepare(of_dataset(detect.read(path), repeats=repeats, rating_scale=rating_scale))


def _outcome(task: RunTask, stream: Stream, on_progress: Callable[[int], None]) -> ReplayOutcome | str:
    """Return the outcome of a task, or the reason for skipping it."""
    try:
        delays = task.delays if PROTOCOLS[task.protocol].is_served else None
        context = EvalContext(catalogue=stream.catalogue, seed=task.seed, delays=delays, settings=task.settings)
        model = contestant.build(task.model, context)
    except ModuleNotFoundError as error:
        return f"needs the package {error.name}"
    return replay(
        model,
        stream,
        task.protocol,
        split=task.split,
        seed=task.seed,
        cold=task.cold,
        delays=task.delays,
        on_progress=on_progress,
    )
