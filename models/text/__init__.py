"""Text embeddings and nearest-neighbour search."""
