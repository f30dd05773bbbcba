"""The second port: metrics and nothing else."""

import logging
import socket
from dataclasses import replace

import httpx
import pytest

from api.metrics_app import metrics_app, metrics_socket
from infra.settings import Settings
from tests.unit.api.builder import World


async def test_the_second_port_has_the_metrics_of_the_first_and_nothing_else() -> None:
    app = World().app()
    transport = httpx.ASGITransport(metrics_app(app.state.metrics))
    api = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=api, base_url="http://api") as http:
        await http.get("/nowhere")
    async with httpx.AsyncClient(transport=transport, base_url="http://metrics") as http:
        for path in ("/metrics", "/"):
            answer = await http.get(path)
            assert 'millrace_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in answer.text
            assert "personalization_requests_total" in answer.text
        assert (await http.get("/content?user_id=ann")).status_code == 404
        assert (await http.post("/metrics")).status_code == 405


def test_another_process_may_have_the_port(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = replace(Settings(), metrics_port=other.getsockname()[1])
        with caplog.at_level(logging.WARNING):
            assert metrics_socket(settings) is None
    assert "METRICS_PORT" in caplog.text
    with metrics_socket(settings) or pytest.fail("the port is free") as port:
        assert port.getsockname()[1] == settings.metrics_port


def test_no_port_is_no_second_server() -> None:
    assert metrics_socket(replace(Settings(), metrics_port=0)) is None
