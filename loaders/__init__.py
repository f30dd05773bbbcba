"""Readers of public data sets and product tables, and the synthetic data set of the demo."""

from loaders.dataset import BadLine, Dataset, DatasetError, event_id

__all__ = ["BadLine", "Dataset", "DatasetError", "event_id"]
