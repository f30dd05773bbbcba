"""Plain HTML pages of the topics and the errors."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from api.openapi.error_codes import error_codes
from domain.timestamp import DAY_MS


def topics_page(document: dict[str, Any]) -> str:
    """Return an AsyncAPI document as an HTML page."""
    messages = document["components"]["messages"]
    sections = [
        _topic(name, channel, messages[next(iter(channel["messages"]))])
        for name, channel in document["channels"].items()
    ]
    links = " ".join(f'<a href="#{name}">{name}</a>' for name in document["channels"])
    info = document["info"]
    return _page("Topics", f"<p>{escape(info['description'])}</p><nav>{links}</nav>{''.join(sections)}")


def errors_page() -> str:
    """Return the error list as an HTML page."""
    rows = (
        f'<tr id="{entry.code}"><td><code>{entry.code}</code></td><td>{entry.status}</td>'
        f"<td>{escape(entry.description)}</td></tr>"
        for entry in error_codes()
    )
    table = _table(("code", "status", "what"), rows)
    return _page(
        "Errors",
        "<p>Every error has one shape: <code>error</code> holds <code>code</code>, <code>message</code>, "
        "<code>request_id</code> and <code>docs</code>, and <code>field</code> or <code>problems</code> for invalid "
        f"values.</p>{table}",
    )


def _topic(name: str, channel: dict[str, Any], message: dict[str, Any]) -> str:
    kafka = channel["bindings"]["kafka"]
    configuration = kafka["topicConfiguration"]
    days = f", {configuration['retention.ms'] // DAY_MS} days" if "retention.ms" in configuration else ""
    key = message["bindings"]["kafka"]["key"]["description"]
    facts = f"{kafka['partitions']} partitions; {' and '.join(configuration['cleanup.policy'])}{days}. Key: {key}"
    fields = (
        f"<tr><td><code>{field['name']}</code></td><td>{escape(_type(field['type']))}</td>"
        f"<td>{escape(field.get('doc', ''))}</td></tr>"
        for field in message["payload"]["schema"]["fields"]
    )
    return (
        f'<section id="{name}"><h2>{channel["address"]}</h2><p>{escape(channel["description"])}</p>'
        f"<p>{escape(facts)}</p><h3>{message['name']}</h3><p>{escape(message['summary'])}</p>"
        f"{_table(('field', 'type', 'what'), fields)}</section>"
    )


def _type(avro: Any) -> str:
    if isinstance(avro, list):
        return " or ".join(_type(one) for one in avro)
    if not isinstance(avro, dict):
        return str(avro)
    kind = avro["type"]
    if kind in ("array", "map"):
        return f"{kind} of {_type(avro['items' if kind == 'array' else 'values'])}"
    if kind == "enum":
        return " | ".join(avro["symbols"])
    if kind == "record":
        return f"{avro['name']} ({', '.join(field['name'] for field in avro['fields'])})"
    return str(avro.get("logicalType", kind))


def _table(head: Iterable[str], rows: Iterable[str]) -> str:
    cells = "".join(f'<th scope="col">{name}</th>' for name in head)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title} · Millrace</title><link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="/docs/page.css"></head><body><header><nav>'
        '<a href="/docs">Endpoints</a> <a href="/redoc">Reference</a> <a href="/docs/topics">Topics</a> '
        f'<a href="/docs/errors">Errors</a></nav></header><main><h1>{title}</h1>{body}</main></body></html>'
    )
