"""Faust over record batches: one Faust message carries up to a thousand consecutive records of a partition.

    app = faust_app("feed", bootstrap_servers=..., datadir=...)
    topic = batch_topic(app, "interactions.v1")

    @app.agent(topic)
    async def user(stream):
        async for event in stream.noack().events():
            batch = event.value          # a Batch: .topic, .partition, .records, .remaining
            ...
            event.ack()                  # now or later, once its effects are out

Events may be held and acknowledged later, from any task of the loop; the ledger commits what may be. Tables are
written inside `as_current(event)`, or their changelog by someone else and then their store by `put`. Before partitions
are taken away, and before the worker stops, the coroutine functions given to `app.on_drain` are awaited, and what they
acknowledged is committed. After a rebalance all that was not is read again: what was held is void
(`app.is_live(event)` is false) and must be dropped, not written.
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
from streams.transport.writing import put as put


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's Kafka transport, with our consumer. Faust finds it by the scheme of broker URLs: `millrace://host:port`."""

    Consumer = Consumer
