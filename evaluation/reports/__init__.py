"""Results of an evaluation: the report, its plots, the lists and the cold-start table."""
