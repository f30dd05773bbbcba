"""The Python client of Millrace's HTTP API: publish events, read feeds, follow updates.

It imports nothing else from this project.

    from client import Interaction, Millrace

    with Millrace("http://localhost:8000") as millrace:
        millrace.publish(Interaction(user_id="alex", item_id="i1", action="like"))
        for item in millrace.feed("alex", limit=5).items:
            print(item.item_id, item.reason)
        for feed in millrace.updates("alex"):
            print(feed.version)

`AsyncMillrace` is the asyncio version. Transient failures are retried according to `Retry`. An event gets its id when
it is created, so a retry within a day does not count twice.
"""

from client.async_client import AsyncMillrace as AsyncMillrace
from client.client import Millrace as Millrace
from client.error import AwayError as AwayError
from client.error import ForbiddenError as ForbiddenError
from client.error import InvalidError as InvalidError
from client.error import MillraceError as MillraceError
from client.error import NotFoundError as NotFoundError
from client.error import PartlyInvalidError as PartlyInvalidError
from client.error import TooManyRequestsError as TooManyRequestsError
from client.error import UnauthorizedError as UnauthorizedError
from client.error import UnreachableError as UnreachableError
from client.event import Interaction as Interaction
from client.event import Location as Location
from client.event import Profile as Profile
from client.feed import Feed as Feed
from client.feed import FeedItem as FeedItem
from client.retry import Retry as Retry
