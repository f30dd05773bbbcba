"""Growth: memory and time of the learning stages over a long stream of many users and items.

Each stage learns in a process of its own, without servers. What grows with users, items and links goes on growing as
long as new ones come, so the memory of the last half is told beside theirs.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import msgspec

from bench.grown import STAGES, Sample
from bench.load import Size
from bench.rig import OnBenchProgress


def measure(size: Size, *, on_progress: OnBenchProgress) -> dict[str, float]:
    """Return the memory, its growth over the last half, and the time per event of each stage."""

    def samples_of(stage: str) -> list[Sample]:
        command = [sys.executable, "-m", "bench.grown", stage, *map(str, (size.events, size.users, size.items))]
        samples = []
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own module
            for line in process.stdout or ():
                samples.append(msgspec.json.decode(line, type=Sample))
                if stage == next(iter(STAGES)):
                    on_progress("learn a long stream", samples[-1].events, size.events)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        return samples

    with ThreadPoolExecutor(len(STAGES)) as threads:
        runs = dict(zip(STAGES, threads.map(samples_of, STAGES), strict=True))
    return {"events": size.events, "users": size.users, "items": size.items} | figures(runs)


def figures(runs: dict[str, list[Sample]]) -> dict[str, float]:
    """Return the figures of the samples of each stage."""
    result: dict[str, float] = {"peak_bytes": sum(max(sample.rss for sample in samples) for samples in runs.values())}
    for stage, samples in runs.items():
        half, last = samples[len(samples) // 2 - 1], samples[-1]
        result |= {
            f"{stage}_bytes": last.rss,
            f"{stage}_last_half_growth": round(last.rss / half.rss - 1, 3),
            f"{stage}_us_per_event": round(1e6 * last.cpu_s / last.events, 1),
            f"{stage}_us_per_event_last_half": round(1e6 * (last.cpu_s - half.cpu_s) / (last.events - half.events), 1),
        }
        for name, value in last.sizes.items():
            result |= {f"{stage}_{name}": value, f"{stage}_{name}_half": half.sizes[name]}
    return result
