"""A program of a user's app: publish what the user does, show the feed, follow its changes.

It needs only the Python client and the address of the API. Transient failures are retried; others are typed errors.

Run it beside `millrace up`:

    python examples/client_program.py alex music-distant-garden-side-two
"""

from __future__ import annotations

import typer

from millrace_client import Feed, Interaction, Millrace, MillraceError


def main(user: str, item: str, url: str = "http://localhost:8000") -> None:
    """Like an item, and print the feed before it and the first one that reflects it."""
    with Millrace(url) as millrace:
        try:
            show("before", millrace.feed(user, limit=5))
            like = Interaction(user_id=user, item_id=item, action="like")
            millrace.publish(like)
            for feed in millrace.updates(user, limit=5):
                if feed.watermark >= like.occurred_at:
                    show("after", feed)
                    break
        except MillraceError as error:
            raise SystemExit(f"the API refused: {error}") from error


def show(title: str, feed: Feed) -> None:
    """Print a feed, best first."""
    print(f"{title}{' (for everyone)' if feed.fallback else ''}:")
    for item in feed.items:
        print(f"  {item.score:6.3f}  {item.item_id}  {item.reason}")


if __name__ == "__main__":
    typer.run(main)
