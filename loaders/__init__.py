"""Data to start from: MovieLens folders, and a small world of our own making."""

from loaders.dataset import BadLine, Dataset, DatasetError, event_id

__all__ = ["BadLine", "Dataset", "DatasetError", "event_id"]
