"""State of a running process: tables, their caches and checkpoints, the catalog and the model."""
