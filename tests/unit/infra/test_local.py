import os
import signal
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.error import OperatorError
from infra.local import Ports, stale_process
from infra.local.lock import Lock
from infra.local.port import HOST, free_ports, is_free, require_free
from infra.local.servers import maven
from infra.local.stack import require_space


@pytest.fixture
def occupied_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_taken_port_is_refused_with_what_to_do_and_who_holds_it(occupied_port: int) -> None:
    with pytest.raises(OperatorError) as exc_info:
        require_free(occupied_port, name="Redis", port_setting="REDIS_PORT", url_setting="REDIS_URL")
    assert str(occupied_port) in exc_info.value.problem
    assert f"(pid {os.getpid()})" in exc_info.value.problem
    assert "REDIS_PORT" in exc_info.value.remedy
    assert "REDIS_URL" in exc_info.value.remedy


def test_a_free_port_is_accepted() -> None:
    (port,) = free_ports(1)
    require_free(port, name="Redis", port_setting="REDIS_PORT")


def test_a_port_is_given_out_once_though_nobody_listens_on_it_yet() -> None:
    free_port_list = [port for _ in range(300) for port in free_ports(4)]
    assert len(set(free_port_list)) == len(free_port_list)


def test_free_ports_differ_and_are_free() -> None:
    ports = Ports.free()
    port_numbers = {ports.kafka, ports.schema_registry, ports.redis, ports.database}
    assert len(port_numbers) == 4
    assert all(is_free(port) for port in port_numbers)


def test_too_little_room_is_refused_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"GB free; the local stack needs 1000000000\.0 GB") as exc_info:
        require_space(tmp_path / "home", free_bytes=10**18)
    assert "MILLRACE_HOME" in exc_info.value.remedy


def test_enough_room_is_accepted_and_the_folder_made(tmp_path: Path) -> None:
    require_space(tmp_path / "home", free_bytes=1)
    assert (tmp_path / "home").is_dir()


def test_a_home_has_one_stack_and_the_next_one_after_it(tmp_path: Path) -> None:
    first, second = Lock(tmp_path), Lock(tmp_path)
    first.take()
    with pytest.raises(OperatorError, match=f"process {os.getpid()}"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_the_record_of_a_process_that_is_gone_or_another_ends_nothing(tmp_path: Path) -> None:
    stale_process.record(tmp_path / "self.json", os.getpid(), signal.SIGKILL)
    text = (tmp_path / "self.json").read_text().replace('"created_s":', '"created_s":1')
    (tmp_path / "self.json").write_text(text)
    (tmp_path / "broken.json").write_text("{")
    assert stale_process.end_stale(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_breaks_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    tries = []

    def download(partial: Path) -> None:
        tries.append(partial)
        (partial / "half.jar").write_text("half")
        if len(tries) < 3:
            raise OSError("cut off")
        (partial / "whole.jar").write_text("whole")

    maven._once(tmp_path / "program", download, instead="X_URL")
    assert sorted(file.name for file in (tmp_path / "program").iterdir()) == ["half.jar", "whole.jar"]
    assert list(tmp_path.iterdir()) == [tmp_path / "program"]


def test_a_download_that_cannot_be_had_says_what_to_do(tmp_path: Path) -> None:
    def download(_: Path) -> None:
        raise tarfile.ReadError("no archive")

    with pytest.raises(OperatorError, match="no archive") as exc_info:
        maven._once(tmp_path / "program", download, instead="X_URL")
    assert "X_URL" in exc_info.value.remedy
    assert list(tmp_path.iterdir()) == []
