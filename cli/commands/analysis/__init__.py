"""Commands of analysts: feeds of the past, exports, SQL, replays."""

from contextlib import suppress

with suppress(ImportError):
    import pyarrow  # noqa: F401 - before usearch: loaded after it, pyarrow 26 ends the process where it converts times
