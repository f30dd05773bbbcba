"""The role `archive`: events and items into PostgreSQL."""
