"""The ranking of feeds: a pipeline of stages, over the catalog and for one query."""
