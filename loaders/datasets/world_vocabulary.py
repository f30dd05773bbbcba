"""Vocabulary of the synthetic data set: invented names, without any real venue, artist, film or person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DemoCity:
    """A city of the synthetic data set."""

    name: str
    latitude: float
    longitude: float
    timezone: str
    locale: str
    quarters: tuple[str, ...]


CITIES = (
    DemoCity("New York", 40.7309, -73.9973, "America/New_York", "en-US", ("the riverside", "the old docks", "uptown")),
    DemoCity(
        "Lisbon", 38.7139, -9.1394, "Europe/Lisbon", "pt-PT", ("the upper town", "the waterfront", "the tram hill")
    ),
    DemoCity("Berlin", 52.5163, 13.3777, "Europe/Berlin", "de-DE", ("the canal", "the courtyards", "the old brewery")),
    DemoCity("Tokyo", 35.6812, 139.7671, "Asia/Tokyo", "ja-JP", ("the side streets", "the station arcade", "the bay")),
    DemoCity(
        "Mexico City", 19.4326, -99.1332, "America/Mexico_City", "es-MX", ("the park", "the market hall", "the south")
    ),
)


@dataclass(frozen=True, slots=True)
class Interest:
    """An interest with the names of its places and workshops, and a phrase for descriptions."""

    name: str
    place: tuple[str, str, str]
    workshop: tuple[str, str]
    subject: str


INTERESTS = (
    Interest(
        "jazz",
        ("Listening Room", "Cellar Stage", "Supper Club"),
        ("Improvise in a Trio", "Swing for Beginners"),
        "late-night jazz",
    ),
    Interest(
        "electronic",
        ("Dance Floor", "Synth Bar", "Record Counter"),
        ("Patch Your First Synth", "A Set in One Evening"),
        "slow electronics",
    ),
    Interest(
        "folk",
        ("Courtyard Stage", "Songbook Tavern", "Fiddle Bench"),
        ("Fiddle by Ear", "Write a Song in a Day"),
        "old songs made new",
    ),
    Interest(
        "cooking",
        ("Open Kitchen", "Noodle Counter", "Spice Market"),
        ("Five Sauces, One Evening", "Bread from Scratch"),
        "cooking for friends",
    ),
    Interest(
        "coffee",
        ("Roastery", "Espresso Counter", "Corner Café"),
        ("Roast Your Own Beans", "Pour-Over, Properly"),
        "the first cup of the day",
    ),
    Interest(
        "hiking",
        ("Ridge Trail", "Woodland Loop", "Summit Hut"),
        ("Read a Map and a Sky", "Pack Light, Walk Far"),
        "long walks",
    ),
    Interest(
        "gardening",
        ("Walled Garden", "Glasshouse", "Seed Library"),
        ("A Balcony in Bloom", "Compost Without Fear"),
        "things that grow",
    ),
    Interest(
        "architecture",
        ("Stairway Walk", "Brick Pavilion", "Model Room"),
        ("Draw a Façade", "Models in Cardboard"),
        "how cities are built",
    ),
    Interest(
        "photography",
        ("Print Gallery", "Rooftop View", "Camera Arcade"),
        ("Night Photography Walk", "Darkroom Basics"),
        "catching the light",
    ),
    Interest(
        "pottery",
        ("Clay Studio", "Kiln Yard", "Bowl Shop"),
        ("First Bowl on the Wheel", "Glaze and Fire"),
        "working with clay",
    ),
    Interest(
        "books",
        ("Reading Room", "Second-Hand Shelves", "Story Cellar"),
        ("Bind a Notebook", "The Short Story, Shorter"),
        "stories within stories",
    ),
    Interest(
        "science",
        ("Observatory Deck", "Hands-On Museum", "Fossil Hall"),
        ("Build a Small Telescope", "Kitchen Chemistry"),
        "how things work",
    ),
    Interest(
        "dance",
        ("Ballroom", "Open-Air Floor", "Mirror Studio"),
        ("Tango in Four Lessons", "Move Before Breakfast"),
        "dancing through it",
    ),
    Interest(
        "sea",
        ("Harbour Pool", "Lighthouse Pier", "Boat House"),
        ("Knots and Sails", "Cold-Water Swimming"),
        "the sea and its moods",
    ),
)

FIRST_WORDS = (
    "Amber", "Blue", "Copper", "Distant", "Early", "Feather", "Glass", "Hidden",
    "Indigo", "Juniper", "Kindred", "Linen", "Marble", "Northern", "Ochre", "Paper",
    "Quiet", "River", "Silver", "Tangled", "Umber", "Velvet", "Winter", "Yonder",
)  # fmt: skip
SECOND_WORDS = (
    "Anchor", "Bridge", "Cartographer", "Door", "Ember", "Fable", "Garden", "Heron",
    "Island", "Kettle", "Lantern", "Meadow", "Needle", "Orchard", "Pigeon", "Quarry",
    "Rooftop", "Swallow", "Thimble", "Umbrella", "Voyage", "Window", "Yard", "Zephyr",
)  # fmt: skip

FACETS = {
    "places": ("quiet", "late night", "outdoors", "family", "budget"),
    "music": ("calm", "upbeat", "live", "instrumental", "vocal"),
    "movies": ("documentary", "drama", "comedy", "mystery", "musical", "road movie"),
    "workshops": ("beginners", "evening", "weekend", "hands-on", "small group"),
}
TITLES = {
    "music": ("Songs from the {}", "{} Sessions", "The {} Suite", "{}, Side Two"),
    "movies": ("The {}", "Letters to the {}", "{} in Autumn", "What the {} Knew"),
}
DESCRIPTIONS = {
    "places": (
        "A small spot by {quarter} in {city}, all about {subject}.",
        "{city}, close to {quarter}: come for {subject}, stay for the company.",
    ),
    "music": (
        "An hour of recordings around {subject}.",
        "Nine short pieces on {subject}, made to be played in order.",
    ),
    "movies": (
        "A {facet} about {subject} and the people it brings together.",
        "Two strangers, one summer and {subject}: a {facet} for a rainy evening.",
    ),
    "workshops": (
        "Two hours by {quarter} in {city} on {subject}. Everything is provided.",
        "{city}: learn by doing, at most ten people, all about {subject}.",
    ),
}
PUBLISHERS = {
    "places": ("city guide", "neighbours"),
    "music": ("small label", "radio archive"),
    "movies": ("film club", "short reel"),
    "workshops": ("night school", "makers' hall"),
}

NAMES = (
    "amara", "anouk", "arjun", "beatriz", "bruno", "camila", "chidi", "clara", "daiki", "dalia",
    "davi", "elif", "emeka", "erik", "fatima", "felix", "freya", "gael", "hana", "hugo",
    "ines", "ivan", "jonas", "jun", "kaito", "kamala", "lars", "leila", "lena", "luca",
    "mai", "malik", "marta", "mateo", "mei", "mila", "nadia", "nico", "noor", "olga",
    "omar", "paula", "priya", "rafael", "rosa", "sana", "sofia", "tariq", "tomas", "yara",
)  # fmt: skip
AGE_BANDS = ("18-24", "25-34", "35-44", "45-54", "55+")
AGE_WEIGHTS = (20, 35, 22, 14, 9)
