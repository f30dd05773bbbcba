"""Batch transport for Faust: one Faust message carries up to a thousand consecutive records of a partition.

    app = faust_app(
        "feed", bootstrap_servers=..., datadir=..., store="rocksdb", limits=Limits(...), commit_interval_s=1.0
    )
    topic = batch_topic(app, "interactions.v1")

    @app.agent(topic)
    async def user(stream):
        async for event in stream.noack().events():
            batch = event.value          # a Batch: .topic, .partition, .records, .remaining
            ...
            event.ack()                  # now or later, once its effects are durable

Events may be held and acknowledged later, from any task of the loop; the offset tracker determines the offsets to
commit. Tables are written inside `as_current(event)`; or another producer writes their changelog, and `put` then their
store. Before partitions are revoked, and before the worker stops, the coroutine functions passed to `app.on_drain` are
awaited, and the events that they acknowledge are committed. After a rebalance all other events are read again: events
still held are void (`app.is_live(event)` is false), and their effects must be dropped, not written.
"""

from faust.transport.drivers import aiokafka as driver

from streams.transport.batch import Batch as Batch
from streams.transport.conf import App as App
from streams.transport.conf import Limits as Limits
from streams.transport.conf import faust_app as faust_app
from streams.transport.conf import stored_values as stored_values
from streams.transport.consumer import Consumer as Consumer
from streams.transport.ledger import InFlight as InFlight
from streams.transport.topic import batch_topic as batch_topic
from streams.transport.worker import run as run
from streams.transport.writing import StaleEventError as StaleEventError
from streams.transport.writing import as_current as as_current
from streams.transport.writing import purge as purge
from streams.transport.writing import put as put


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's Kafka transport with the batch consumer, found by the scheme of broker URLs: `millrace://host:port`."""

    Consumer = Consumer
