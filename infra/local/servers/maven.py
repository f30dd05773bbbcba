"""Downloads of Java programs from Maven Central into the cache folder.

A download goes to a temporary folder that is renamed when it is complete, so that an interrupted download is never
mistaken for a program.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from jgo.env import EnvironmentBuilder, LinkStrategy
from jgo.maven import MavenContext, PythonResolver

from infra.error import OperatorError

OnDownload = Callable[[str], None]

_TIMEOUT_S = 60
_TRIES = 3
_MB = 1_000_000


def jars(folder: Path, coordinates: str, *, on_progress: OnDownload, instead: str) -> list[Path]:
    """Return the jars of artifacts and their dependencies, downloaded to a folder of the cache.

    Args:
        folder: Target folder.
        coordinates: Maven coordinates of the artifacts, joined by `+`.
        on_progress: Called with the progress of downloads.
        instead: Name of the setting that makes the download unnecessary.

    Raises:
        OperatorError: they cannot be downloaded.
    """

    def download(partial: Path) -> None:
        context = _context(partial, on_progress)
        builder = EnvironmentBuilder(context, cache_dir=partial / "jgo", link_strategy=LinkStrategy.COPY)
        for jar in builder.from_endpoint(coordinates).all_jars:
            shutil.move(jar, partial / jar.name)
        shutil.rmtree(partial / "jgo")
        shutil.rmtree(partial / "maven")

    _once(folder, download, instead=instead)
    return sorted(folder.glob("*.jar"))


def archive(folder: Path, coordinates: str, *, on_progress: OnDownload, instead: str) -> Path:
    """Return the folder of an unpacked artifact of type tar.gz, downloaded to the cache.

    Args:
        folder: Target folder.
        coordinates: `group:artifact:version:classifier`.
        on_progress: Called with the progress of downloads.
        instead: Name of the setting that makes the download unnecessary.

    Raises:
        OperatorError: it cannot be downloaded.
    """
    group, name, version, classifier = coordinates.split(":")

    def download(partial: Path) -> None:
        component = _context(partial, on_progress).project(group, name).at_version(version)
        with tarfile.open(component.artifact(classifier, "tar.gz").resolve()) as tar:
            tar.extractall(partial, filter="data")
        shutil.rmtree(partial / "maven")

    _once(folder, download, instead=instead)
    return folder


def _once(folder: Path, download: Callable[[Path], None], *, instead: str) -> None:
    if folder.exists():
        return
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    for tries_left in reversed(range(_TRIES)):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            download(partial)
            break
        except (requests.RequestException, RuntimeError, OSError, tarfile.TarError, EOFError) as error:
            if not tries_left:
                shutil.rmtree(partial, ignore_errors=True)
                raise OperatorError(
                    f"{folder.name} could not be downloaded: {type(error).__name__}: {error}",
                    f"Check the network and the disk, or set {instead} to use one that already runs.",
                ) from error
    try:
        partial.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        shutil.rmtree(partial)  # another process was faster


def _context(partial: Path, on_progress: OnDownload) -> MavenContext:
    @contextmanager
    def progress(name: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
        done_bytes = 0
        last_report = -1

        def update(count: int) -> None:
            nonlocal done_bytes, last_report
            done_bytes += count
            if done_bytes // _MB // 10 != last_report:
                last_report = done_bytes // _MB // 10
                on_progress(f"{name}: {done_bytes / _MB:.0f} of {total_bytes / _MB:.0f} MB")

        if total_bytes > _MB:
            on_progress(name)
        yield update if total_bytes > 10 * _MB else lambda _: None

    resolver = PythonResolver(progress_callback=progress)
    return MavenContext(resolver, repo_cache=partial / "maven", timeout=_TIMEOUT_S)
