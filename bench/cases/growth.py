"""Growth: memory and time of learning from a long stream of many users and items, in one process without servers.

What grows with users, items and links goes on growing as long as new ones come, so the growth of memory over the last
half is told beside theirs.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import msgspec

from bench.grown import Sample
from bench.load import Size
from bench.rig import OnBenchProgress


def measure(size: Size, *, on_progress: OnBenchProgress) -> dict[str, float]:
    """Return the memory, its growth over the last half, and the time per event."""
    command, samples = [sys.executable, "-m", "bench.grown", *map(str, (size.events, size.users, size.items))], []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own module
        for line in process.stdout or ():
            samples.append(msgspec.json.decode(line, type=Sample))
            on_progress("learn a long stream", samples[-1].events, size.events)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {"events": size.events, "users": size.users, "items": size.items} | figures(samples)


def figures(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the figures of samples at equal distances."""
    half, last = samples[len(samples) // 2 - 1], samples[-1]
    result: dict[str, float] = {
        "peak_bytes": max(sample.rss for sample in samples),
        "last_half_growth": round(last.rss / half.rss - 1, 3),
        "us_per_event": round(1e6 * last.cpu_s / last.events, 1),
        "us_per_event_last_half": round(1e6 * (last.cpu_s - half.cpu_s) / (last.events - half.events), 1),
    }
    for name, value in last.sizes.items():
        result |= {f"{name}": value, f"{name}_half": half.sizes[name]}
    return result
