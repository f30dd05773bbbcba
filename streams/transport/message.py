"""Faust message that carries a batch."""

from __future__ import annotations

from faust.types import TP, ConsumerMessage

from streams.transport.batch import Batch
from streams.transport.ledger import InFlightBatch


class BatchMessage(ConsumerMessage):  # type: ignore[misc]
    """A message whose value is a batch; its offset is that of the last record."""

    in_flight_batch: InFlightBatch[TP]
    readers: int
    """Agents that have yet to process the message; set by the first that does, since none acknowledges it before."""

    def process(self) -> bool:
        """Note that one more agent has processed the message; return whether all have."""
        self.readers = (self.readers or self.refcount) - 1
        return self.readers <= 0


def batch_message(tp: TP, batch: Batch, in_flight_batch: InFlightBatch[TP], *, generation_id: int) -> BatchMessage:
    """Return the message of a delivered batch.

    Args:
        tp: The topic and partition.
        batch: The batch.
        in_flight_batch: Its entry in the offset tracker.
        generation_id: The generation of the consumer group.
    """
    newest = batch.records[-1]
    message = BatchMessage(
        batch.topic,
        batch.partition,
        newest.offset,
        newest.timestamp / 1000,
        newest.timestamp_type,
        headers=None,
        key=None,
        value=batch,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=in_flight_batch.size_bytes,
        tp=tp,
        generation_id=generation_id,
    )
    message.in_flight_batch = in_flight_batch
    message.readers = 0
    return message
