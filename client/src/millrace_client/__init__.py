"""The Python client of Millrace's HTTP API: publish events, read feeds, follow updates.

    from millrace_client import Interaction, Millrace

    with Millrace("http://localhost:8000") as millrace:
        millrace.publish(Interaction(user_id="alex", item_id="i1", action="like"))
        for item in millrace.feed("alex", limit=5).items:
            print(item.item_id, item.reason)
        for feed in millrace.updates("alex"):
            print(feed.version)

`AsyncMillrace` is the asyncio version. Transient failures are retried according to `Retry`; other failures raise a
`MillraceError`. An event gets its id when it is created, so a retry within a day does not count twice.
"""

from millrace_client.async_client import AsyncMillrace as AsyncMillrace
from millrace_client.client import Millrace as Millrace
from millrace_client.error import ApiConnectionError as ApiConnectionError
from millrace_client.error import ForbiddenError as ForbiddenError
from millrace_client.error import InvalidRequestError as InvalidRequestError
from millrace_client.error import MillraceError as MillraceError
from millrace_client.error import NotFoundError as NotFoundError
from millrace_client.error import PartialFailureError as PartialFailureError
from millrace_client.error import Problem as Problem
from millrace_client.error import ServerError as ServerError
from millrace_client.error import TooManyRequestsError as TooManyRequestsError
from millrace_client.error import UnauthorizedError as UnauthorizedError
from millrace_client.event import Event as Event
from millrace_client.event import Impression as Impression
from millrace_client.event import Interaction as Interaction
from millrace_client.event import Location as Location
from millrace_client.event import Profile as Profile
from millrace_client.event import ShownItem as ShownItem
from millrace_client.feed import Feed as Feed
from millrace_client.feed import FeedItem as FeedItem
from millrace_client.retry import Retry as Retry
from millrace_client.version import __version__ as __version__
