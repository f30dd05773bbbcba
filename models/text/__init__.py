"""Text as vectors, and the search for the nearest of them."""
