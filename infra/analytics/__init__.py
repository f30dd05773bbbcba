"""Topics, archive and files as tables: Arrow in between, DuckDB for queries. Needs the extra `analytics`."""
