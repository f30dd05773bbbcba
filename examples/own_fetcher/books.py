"""A category of prefetched content of your own: books.

A fetcher is a prompt, and the fields of the user that it may see. Its package registers it with an entry point
(`pyproject.toml` beside this file); a deployment enables it in `FETCH_CATEGORIES`. The workers do the rest: triggers,
requests, validation of the answers, recognition of known items, the cache, and the search of the catalogue in place of
a missing answer.

Install it where the workers run, and enable it for the roles `feed` and `fetch`:

    pip install --no-deps ./examples/own_fetcher
    FETCH_CATEGORIES=books=3600,events=3600 millrace up

See the prompt:

    python examples/own_fetcher/books.py
"""

from streams.fetchers import Fetcher

FETCHER = Fetcher(
    category="books",
    version=1,
    depends_on_location=False,
    prompt_fields=("interests", "keywords", "liked", "muted"),
    instructions="""Suggest up to 8 books.

- `by` is the name of the author, `year` the year of the first edition.
- At least two of them should be new to someone with these interests.
""",
)

if __name__ == "__main__":
    print(f"{FETCHER.prompt_version}\n\n{FETCHER.prompt}")
