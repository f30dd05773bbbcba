"""Rewriting of a stopped broker's logs without some records: at the same offsets, with the same append times.

Kafka deletes records by age, up to an offset or by compaction, never one user's from the middle of a log. A rewritten
segment is what the log cleaner would leave: readers find gaps between offsets, as in compacted topics. The broker makes
the indexes anew when it starts.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from infra.error import OperatorError
from infra.kafka.segments.record_batch import PREFIX_BYTES, SegmentError, without

_LOCK, _METADATA = ".lock", "partition.metadata"
_INDEXES = (".index", ".timeindex", ".txnindex")
_UNFINISHED = ".log.cleaned"
"""Suffix of a segment that is being written; the broker deletes such files when it starts."""
_PREFIX = struct.Struct(">qi")


class PartitionRewrite(msgspec.Struct, frozen=True, kw_only=True):
    """Records to remove from a partition."""

    topic: str
    topic_id: str
    """Kafka's id of the topic: a topic that was created anew is left alone."""
    partition: int
    offsets: list[tuple[int, int]]
    """Ranges of offsets, ascending: first, and last plus one."""


class RewritePlan(msgspec.Struct, frozen=True, kw_only=True):
    """Records to remove from the logs of all brokers. It names nobody."""

    partitions: list[PartitionRewrite]

    @property
    def record_count(self) -> int:
        """Return the number of records to remove."""
        return sum(stop - start for one in self.partitions for start, stop in one.offsets)


class RewriteReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a rewriting."""

    segments: int
    bytes_before: int
    bytes_after: int
    foreign_partitions: list[str]
    """Partitions of topics that were created anew since the plan was made."""


def read_plan(file: Path) -> RewritePlan:
    """Return the plan in a file.

    Args:
        file: The file.

    Raises:
        OperatorError: it holds none.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=RewritePlan)
    except (OSError, msgspec.MsgspecError) as error:
        raise OperatorError(f"{file} holds no plan: {error}", "Make one with `millrace purge --plan FILE`.") from error


def rewrite_logs(
    folder: Path, plan: RewritePlan, *, on_progress: Callable[[int, int], None] = lambda _count, _total: None
) -> RewriteReport:
    """Remove the records of a plan from the logs in a folder of a stopped broker; a repetition changes nothing.

    Args:
        folder: A folder of `log.dirs`.
        plan: The records; partitions that are not in the folder are left out.
        on_progress: Called with the numbers of partitions that are finished, and of all.

    Raises:
        OperatorError: a broker uses the folder, or a segment is damaged; it is left as it was.
    """
    segments = bytes_before = bytes_after = 0
    foreign_partitions = []
    with _exclusive(folder):
        for number, rewrite in enumerate(plan.partitions):
            on_progress(number, len(plan.partitions))
            logs = folder / f"{rewrite.topic}-{rewrite.partition}"
            if not logs.is_dir():
                continue  # another broker has it
            if _topic_id(logs) != _url_safe(rewrite.topic_id):
                foreign_partitions.append(logs.name)
                continue
            for segment, offsets in _segments(logs, rewrite.offsets):
                bytes_before += segment.stat().st_size
                segments += _rewrite_segment(segment, offsets)
                bytes_after += segment.stat().st_size
    return RewriteReport(
        segments=segments, bytes_before=bytes_before, bytes_after=bytes_after, foreign_partitions=foreign_partitions
    )


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock that a broker holds while it runs."""
    if not (folder / "meta.properties").exists():
        raise OperatorError(f"{folder} is no folder of a broker's logs.", "Name a folder of its `log.dirs`.")
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OperatorError(f"A broker runs on {folder}.", "Stop it first; the others may go on.") from error
        yield


def _topic_id(logs: Path) -> str:
    try:
        fields = dict(line.split(": ", 1) for line in (logs / _METADATA).read_text().splitlines())
    except (OSError, ValueError):
        return ""
    return fields.get("topic_id", "")


def _url_safe(topic_id: str) -> str:
    """Return an id in the spelling of Kafka's files; clients spell the same bytes with `+` and `/`."""
    return topic_id.replace("+", "-").replace("/", "_")


def _segments(logs: Path, ranges: list[tuple[int, int]]) -> Iterator[tuple[Path, set[int]]]:
    """Yield the segments that have some of the offsets, with these."""
    segments = sorted(logs.glob("*.log"))
    starts = [int(segment.stem) for segment in segments]
    for index, segment in enumerate(segments):
        end = starts[index + 1] if index + 1 < len(starts) else None
        offsets = {
            offset
            for start, stop in ranges
            for offset in range(max(start, starts[index]), stop if end is None else min(stop, end))
        }
        if offsets:
            yield segment, offsets


def _rewrite_segment(segment: Path, offsets: set[int]) -> int:
    """Rewrite a segment without some records; return 1 if it changed, else 0.

    The indexes go first: a broker that starts without them reads the segment, whichever of the two it is by then.
    """
    target_file = segment.with_suffix(_UNFINISHED)
    try:
        with segment.open("rb") as source, target_file.open("wb") as target:
            has_changed = False
            for batch in _batches(source):
                remainder = without(batch, offsets)
                has_changed |= remainder is not batch
                target.write(remainder)
            target.flush()
            os.fsync(target.fileno())
    except SegmentError as error:
        target_file.unlink(missing_ok=True)
        raise OperatorError(
            f"{segment} cannot be rewritten: {error}", "Start the broker, which repairs its logs, then try again."
        ) from error
    if not has_changed:
        target_file.unlink()
        return 0
    shutil.copymode(segment, target_file)
    if os.geteuid() == 0:
        owner = segment.stat()
        os.chown(target_file, owner.st_uid, owner.st_gid)
    for suffix in _INDEXES:
        segment.with_suffix(suffix).unlink(missing_ok=True)
    target_file.replace(segment)
    return 1


def _batches(source: BinaryIO) -> Iterator[bytes]:
    """Yield the batches of a segment; an incomplete one at its end, which brokers cut off at their start, too."""
    while prefix := source.read(PREFIX_BYTES):
        length = _PREFIX.unpack(prefix)[1] if len(prefix) == PREFIX_BYTES else 0
        yield prefix + source.read(max(0, length))
