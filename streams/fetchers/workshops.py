"""What the user can learn with others nearby."""

from streams.fetchers.fetcher import Fetcher

FETCHER = Fetcher(
    category="workshops",
    version=2,
    placed=True,
    facts=("where", "when", "interests", "keywords", "muted"),
)
