"""Pattern of an id in bytes: the id as it is, and as other encodings write it."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from cramjam import zstd

_ZSTD = b"\x28\xb5\x2f\xfd"
"""First bytes of a frame of zstd."""


class IdPattern:
    """Finds an id in bytes: in UTF-8, as JSON and URLs escape it, and in hexadecimal.

    An id that is part of another word is found there, too.

    >>> pattern = IdPattern("zoë")
    >>> pattern.count(b'{"user_id":"zo\\\\u00eb"} GET /user/zo%C3%AB'), pattern.count(b"zoe")
    (2, 0)
    """

    def __init__(self, user_id: str) -> None:
        """Create a pattern.

        Args:
            user_id: The id.
        """
        self.user_id = user_id
        data = user_id.encode()
        self.spellings = tuple(
            dict.fromkeys(
                (data, json.dumps(user_id)[1:-1].encode(), quote(user_id, safe="").encode(), data.hex().encode())
            )
        )
        """The encodings, each once."""
        longest_first = sorted(self.spellings, key=len, reverse=True)
        self._expression = re.compile(b"|".join(map(re.escape, longest_first)))
        self.longest = len(longest_first[0])
        """Length of the longest encoding, in bytes."""

    def count(self, data: bytes | None) -> int:
        """Return the number of occurrences in some bytes.

        Args:
            data: The bytes; None has none.
        """
        return 0 if not data else sum(map(data.count, self.spellings))

    def count_unpacked(self, data: bytes) -> int:
        """Return the number of occurrences in a value, also in the part of it that zstd has compressed.

        Args:
            data: The value.
        """
        start = data.find(_ZSTD)
        if start < 0:
            return self.count(data)
        try:
            return self.count(data[:start] + bytes(zstd.decompress(data[start:])))
        except Exception:  # the bytes only look like a frame; the library has no type of its own for this
            return self.count(data)

    def masked(self, name: str) -> str:
        """Return a name without the id.

        >>> IdPattern("alex").masked("feed:alex")
        'feed:{user}'

        Args:
            name: The name.
        """
        return self._expression.sub(b"{user}", name.encode()).decode(errors="replace")
