from pathlib import Path

import pytest

from infra import address
from infra.address import Addresses, resolve_addresses
from infra.error import OperatorError
from infra.settings import Settings

LOCAL = Addresses("127.0.0.1:1", "http://127.0.0.1:2", "redis://127.0.0.1:3/0", "postgresql://127.0.0.1:4/x")


def test_what_a_stack_left_is_found(tmp_path: Path) -> None:
    address.write(tmp_path, LOCAL)
    assert resolve_addresses(Settings(millrace_home=tmp_path)) == LOCAL.apply_to(Settings(millrace_home=tmp_path))


def test_a_set_address_holds(tmp_path: Path) -> None:
    address.write(tmp_path, LOCAL)
    settings = resolve_addresses(Settings(millrace_home=tmp_path, redis_url="redis://elsewhere/0"))
    assert (settings.redis_url, settings.database_url) == ("redis://elsewhere/0", LOCAL.database_url)


def test_without_a_stack_the_missing_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as exc_info:
        resolve_addresses(Settings(millrace_home=tmp_path, redis_url="redis://elsewhere/0"))
    assert "DATABASE_URL" in exc_info.value.problem
    assert "REDIS_URL" not in exc_info.value.problem
    assert "millrace up" in exc_info.value.remedy


def test_with_every_address_set_no_stack_is_asked_for(tmp_path: Path) -> None:
    settings = LOCAL.apply_to(Settings(millrace_home=tmp_path))
    assert resolve_addresses(settings) is settings


def test_a_stopped_stack_is_forgotten(tmp_path: Path) -> None:
    address.write(tmp_path, LOCAL)
    address.forget(tmp_path)
    with pytest.raises(OperatorError):
        resolve_addresses(Settings(millrace_home=tmp_path))
