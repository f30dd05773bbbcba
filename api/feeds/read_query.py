"""Parameters of `GET /content`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta

from api.context import ApiContext
from api.endpoints.visibility import ItemVisibility
from api.feeds.feed_content import ContentItem
from api.http.error import InvalidError
from api.http.query import FeedQuery
from infra.kafka.folded_header import EventPosition
from infra.kafka.partition import partition_of
from infra.settings.surface import ALL
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


SurfaceName = Annotated[
    str,
    Meta(
        max_length=32,
        description="A name of SURFACES, whose kinds of items the feed then holds, or `all`; by default"
        " DEFAULT_SURFACE, if the catalogue has items of its kinds.",
        examples=["shop"],
    ),
]
Kinds = Annotated[str, Meta(description="Kinds of items to keep, separated by commas; by default all.")]
Categories = Annotated[str, Meta(description="Categories of items to keep, separated by commas; by default all.")]


class SurfaceQuery(FeedQuery, frozen=True, kw_only=True):
    """A user's feed on a surface."""

    surface: SurfaceName | None = None

    def surface_of(self, context: ApiContext) -> str:
        """Return the surface that shows the feed; empty for all kinds.

        Raises:
            InvalidError: there is no such surface.
        """
        if self.surface is None:
            return context.default_surface
        if self.surface == ALL:
            return ""
        if self.surface not in context.surfaces:
            raise InvalidError("surface", f"must be one of {', '.join([*context.surfaces, ALL])}")
        return self.surface


class FeedReadQuery(SurfaceQuery, frozen=True, kw_only=True):
    """A user's feed: how much of it, and which interaction it should reflect."""

    after: After | None = None
    exclude: Exclude = ""
    fields: Fields = ""
    kinds: Kinds = ""
    categories: Categories = ""

    @property
    def excluded_ids(self) -> frozenset[str]:
        """Return the ids of the items to leave out."""
        return frozenset(_split(self.exclude))

    def condition(self, shows: Callable[[str], bool] | None) -> Callable[[ItemVisibility], bool] | None:
        """Return the condition on the items of the answer; None without any.

        Args:
            shows: Whether the surface shows a kind; None if the feed holds no others.
        """
        kinds, categories = frozenset(_split(self.kinds)), frozenset(_split(self.categories))
        if not kinds and not categories and shows is None:
            return None
        return lambda item: (
            (shows is None or shows(item.kind))
            and (not kinds or item.kind in kinds)
            and (not categories or item.category in categories)
        )

    def field_names(self) -> frozenset[str]:
        """Return the fields to return; empty for all.

        Raises:
            InvalidError: an entry has no such field.
        """
        names = frozenset(_split(self.fields))
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


def _split(text: str) -> list[str]:
    return text.split(",") if text else []
