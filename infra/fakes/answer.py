"""Simulated answers of a language model, derived from the request alone: equal requests have equal answers.

A request with a JSON object that has `candidates` is answered with one score per candidate. The score grows with the
share of the candidate's category and topics that the rest of the request mentions. Any other request is answered with
a list of items of its category and city in the shape of the tool's schema; items that match its interests come first.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

Json = dict[str, Any]

MARK = "Simulated: "
"""Prefix of every description."""
_HINTS = {
    "events": re.compile("events|concerts"),
    "music": re.compile("music|albums"),
    "movies": re.compile("movies|films"),
    "workshops": re.compile("workshops"),
    "places": re.compile("places"),
}
"""Category of a request that names none: the pattern that occurs first in its text decides."""
_SUBJECTS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "music": (
        ("Late Set at the Blue Lantern", ("jazz", "live")),
        ("Brass on the Pier", ("jazz", "brass")),
        ("Trio Night", ("jazz", "piano")),
        ("Strings in the Courtyard", ("classical", "chamber")),
        ("Warehouse Sessions", ("electronic", "dj")),
        ("Songs of the River", ("folk", "acoustic")),
    ),
    "events": (
        ("Jazz at the Ferry House", ("jazz", "concert")),
        ("Midnight Big Band", ("jazz", "big band")),
        ("Lantern Parade", ("festival", "family")),
        ("Open Studios", ("art", "exhibition")),
        ("Night Market", ("food", "market")),
        ("Harbour Run", ("running", "outdoors")),
    ),
    "movies": (
        ("The Long Blue Note", ("drama", "jazz")),
        ("Harbour Lights", ("thriller", "noir")),
        ("Paper Moons", ("animation", "family")),
        ("North Face", ("documentary", "mountains")),
        ("Second Helping", ("comedy", "food")),
        ("Orbit", ("science fiction", "space")),
    ),
    "workshops": (
        ("Fresh Pasta from Scratch", ("cooking", "italian")),
        ("Knife Skills", ("cooking", "basics")),
        ("Bread in a Day", ("cooking", "baking")),
        ("Jazz Piano for Beginners", ("music", "jazz")),
        ("Wheel Throwing", ("pottery", "craft")),
        ("Street Photography", ("photography", "city")),
    ),
    "places": (
        ("Ridge Trail", ("hiking", "outdoors")),
        ("Old Mill Loop", ("hiking", "river")),
        ("The Cellar Door", ("jazz", "bar")),
        ("Glasshouse Garden", ("garden", "quiet")),
        ("Market Hall", ("food", "market")),
        ("Museum of Tides", ("museum", "art")),
    ),
}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_WORD = re.compile(r"\w{3,}")


@dataclass(frozen=True, slots=True)
class _Subject:
    title: str
    topics: tuple[str, ...]
    category: str
    city: str
    day: str

    @property
    def starts(self) -> str | None:
        """Return the start: events on the evening of the day, workshops on the next day."""
        if self.day and self.category == "workshops":
            return f"{date.fromisoformat(self.day) + timedelta(days=1)}T11:00"
        return f"{self.day}T20:00" if self.day and self.category == "events" else None

    def field(self, name: str) -> Any:
        """Return the subject's value for a property, None if it has none."""
        slug = "-".join(_WORD.findall(f"{self.title} {self.city}".lower()))
        values = {
            "title": f"{self.title}, {self.city}" if self.city else self.title,
            "description": f"{MARK}{self.title}, for fans of {' and '.join(self.topics)}.",
            "reason": f"As you like {self.topics[0]}",
            "url": f"https://example.com/{slug}",
            "topics": list(self.topics),
            "category": self.category,
            "city": self.city,
            "venue": f"{self.title.split()[-1]} House",
            "starts": self.starts,
            "year": 1950 + len(self.title),
            "price": float(len(self.title)),
        }
        return values.get(name)


def answer(schema: Json, *, system: str, user_text: str) -> Json:
    """Return the input of a tool call that answers a request.

    Args:
        schema: JSON schema of the tool's input.
        system: System prompt.
        user_text: Text of the user's messages.
    """
    request_data = _first_object(user_text)
    lists = {name: spec for name, spec in schema.get("properties", {}).items() if spec.get("type") == "array"}
    if "candidates" in request_data:
        return {name: _scores(request_data) for name in lists}
    subjects = _subjects(request_data, f"{system}\n{user_text}")
    return {name: _items(_resolved(spec["items"], schema), schema, subjects) for name, spec in lists.items()}


def broken(answer: Json) -> Json:
    """Return an answer whose values have wrong types."""
    return dict.fromkeys(answer, "simulated: malformed")


def flawed(answer: Json) -> Json:
    """Return an answer with typical flaws of models: one empty entry, and values of related types in the others."""
    return {name: [*map(_neighbouring, entries[:2]), {"note": None}, *entries[2:]] for name, entries in answer.items()}


def cut_short(answer: Json) -> Json:
    """Return an answer whose last entry is truncated."""
    return {name: [*entries[:-1], dict(list(entries[-1].items())[:1])] for name, entries in answer.items()}


def _neighbouring(entry: Json) -> Json:
    """Return an entry with numbers as text, the first element in place of a list, and null for unknown values."""
    texts = {name: str(value) if isinstance(value, int | float) else value for name, value in entry.items()}
    plain = {name: value[0] if isinstance(value, list) and value else value for name, value in texts.items()}
    return {"by": None, "venue": None, **plain, "note": None}


def _scores(request_data: Json) -> list[Json]:
    interest_words = set(_words([value for name, value in request_data.items() if name != "candidates"]))
    scores = []
    for candidate in request_data["candidates"]:
        own = set(_words([candidate.get("category", ""), candidate.get("topics", [])]))
        share = len(own & interest_words) / max(len(own), 1)
        chance = _chance(str(candidate.get("title", "")))
        scores.append({"id": candidate["id"], "score": round(0.1 + 0.8 * share + 0.1 * chance, 4)})
    return scores


def _subjects(request_data: Json, text: str) -> list[_Subject]:
    """Return subjects of the request's category, city and day, those that match its interests first."""
    positions = {name: match.start() for name, hint in _HINTS.items() if (match := hint.search(text))}
    category = request_data.get("category") or min(positions, key=lambda name: positions[name], default="places")
    city = str(request_data.get("city") or request_data.get("where") or "")
    day = _DAY.search(text)
    interest_words = set(_words([value for name, value in request_data.items() if name != "muted"]))
    subjects = [
        _Subject(title, topics, category, city, day[0] if day else "")
        for title, topics in _SUBJECTS.get(category, _SUBJECTS["places"])
    ]
    return sorted(subjects, key=lambda subject: -len(interest_words & set(_words(list(subject.topics)))))


def _items(spec: Json, schema: Json, subjects: list[_Subject]) -> list[Json]:
    properties, required_names = spec.get("properties", {}), spec.get("required", ())
    items = []
    for subject in subjects:
        values = {name: subject.field(name) for name in properties}
        items.append(
            {
                name: _filler(_resolved(properties[name], schema)) if value is None else value
                for name, value in values.items()
                if value is not None or name in required_names
            }
        )
    return items


def _filler(spec: Json) -> Any:
    """Return a default value for a schema."""
    if "enum" in spec:
        return spec["enum"][0]
    if "anyOf" in spec:
        return None
    low, high = spec.get("minimum", 0), spec.get("maximum", 1)
    return {
        "string": "simulated",
        "number": (low + high) / 2,
        "integer": low,
        "boolean": False,
        "array": [],
        "object": {},
    }.get(spec.get("type", ""))


def _resolved(spec: Json, schema: Json) -> Json:
    name = spec.get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] if name else spec


def _first_object(text: str) -> Json:
    """Return the first JSON object in a text, an empty one if there is none."""
    start = text.find("{")
    if start < 0:
        return {}
    try:
        value = json.JSONDecoder().raw_decode(text, start)[0]
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _words(value: Any) -> list[str]:
    """Return the words of all strings in a JSON value, without property names."""
    if isinstance(value, dict):
        return _words(list(value.values()))
    if isinstance(value, list):
        return [word for entry in value for word in _words(entry)]
    return _WORD.findall(str(value).lower())


def _chance(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
