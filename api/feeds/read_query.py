"""Parameters of `GET /content`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from api.feeds.feed_content import ContentItem
from api.http.error import InvalidError
from api.http.query import FeedQuery
from infra.kafka.folded_header import EventPosition
from infra.kafka.partition import partition_of
from topics.topic import INTERACTIONS

_FIELDS = frozenset(ContentItem.__struct_fields__)

After = Annotated[
    str,
    Meta(
        max_length=128,
        description="The `token` of a published interaction of the user: the answer waits a moment for the feed that"
        " reflects it, and says in `reflects_after` whether it does.",
    ),
]
Exclude = Annotated[str, Meta(description="Ids of items to leave out, separated by commas.")]
Fields = Annotated[
    str,
    Meta(
        description="Fields of each entry to return, separated by commas; by default all.",
        examples=["item_id,score,reason"],
    ),
]


class FeedReadQuery(FeedQuery, frozen=True, kw_only=True):
    """A user's feed: how much of it, and which interaction it should reflect."""

    after: After | None = None
    exclude: Exclude = ""
    fields: Fields = ""

    @property
    def excluded_ids(self) -> frozenset[str]:
        """Return the ids of the items to leave out."""
        return frozenset(self.exclude.split(",")) if self.exclude else frozenset()

    def field_names(self) -> frozenset[str]:
        """Return the fields to return; empty for all.

        Raises:
            InvalidError: an entry has no such field.
        """
        names = frozenset(self.fields.split(",")) if self.fields else frozenset()
        if not names <= _FIELDS:
            raise InvalidError("fields", f"must be among {', '.join(ContentItem.__struct_fields__)}")
        return names

    def after_offset(self) -> int:
        """Return the offset of the interaction that the feed should reflect, -1 for none.

        Raises:
            InvalidError: it is no token of an interaction of this user.
        """
        if self.after is None:
            return -1
        try:
            topic, partition, offset = EventPosition.parse(self.after)
        except ValueError:
            topic, partition, offset = "", -1, -1
        own_partition = partition_of(self.user_id.encode(), INTERACTIONS.partitions)
        if (topic, partition) != (INTERACTIONS.name, own_partition) or offset < 0:
            raise InvalidError("after", "must be the token of a published interaction of the user")
        return offset
