"""SQL of similar items: what people do with items, where there is evidence, and what their texts say where not.

An item has two vectors: the embedding that is learned from histories (table `item_embeddings`), and that of its text.
The similarity of two items is the weighted mean of the two cosines. The weight of the embeddings grows with the events
on both items; an item without events is compared by its text alone.

Statements have a common table expression `subject` with one row: the item's `people_vector`, `text_vector` and
`event_count`. Its vectors are null if there are none.
"""

from __future__ import annotations

_EVENTS = 3.0
"""Number of events on an item with which its embedding counts half: a first embedding is random."""
_SUBJECT_VECTOR = "(SELECT people_vector FROM subject)"
_IS_LEARNED = "people_vector IS NOT NULL AND item_embeddings.embedding IS NOT NULL"
_WEIGHT = f"""
(CASE WHEN {_IS_LEARNED} THEN
    subject.event_count / (subject.event_count + {_EVENTS})
    * item_embeddings.event_count / (item_embeddings.event_count + {_EVENTS})
 ELSE 0 END)"""


def nearest_by_people(condition: str, limit: str) -> str:
    """Return the statement of the items whose embeddings are nearest to the subject's, in the form that uses the index.

    Args:
        condition: SQL condition on rows of `items` and `item_embeddings`.
        limit: Placeholder of the number of items.
    """
    return f"""
    SELECT item_id FROM item_embeddings JOIN items USING (item_id)
    WHERE {_SUBJECT_VECTOR} IS NOT NULL AND {condition}
    ORDER BY item_embeddings.embedding <=> {_SUBJECT_VECTOR} LIMIT {limit}"""  # noqa: S608 - values are bound


def similarity(text_cosine: str) -> str:
    """Return the expression of an item's similarity to the subject, 1 at most.

    It reads the item's row of `item_embeddings`, or nulls if there is none.

    Args:
        text_cosine: SQL expression of the cosine of the texts; null if it is unknown.
    """
    return f"""
    least(1.0, {_WEIGHT} * coalesce(1 - (item_embeddings.embedding <=> people_vector), 0)
          + (1 - {_WEIGHT}) * coalesce({text_cosine}, 0))"""
