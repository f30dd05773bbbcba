from __future__ import annotations

import msgspec

from infra.redis.stores.model_status import REFUSED, REPLACED, SERVING, Version, with_current_status
from tests.build import a_version


def test_a_version_stands_as_what_is_in_service_says() -> None:
    assert with_current_status(a_version(), "v1").status == SERVING
    assert with_current_status(a_version(), "v2").status == REPLACED
    assert with_current_status(a_version(status=REFUSED), "v2").status == REFUSED
    assert with_current_status(a_version(status=REFUSED), "v1").status == SERVING  # rolled forward to by hand


def test_the_board_travels_as_json() -> None:
    version = a_version(metrics={"ndcg@10": 0.5})
    assert msgspec.json.decode(msgspec.json.encode(version), type=Version) == version
