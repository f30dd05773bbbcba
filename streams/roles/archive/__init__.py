"""The role `archive`: events and items, written to PostgreSQL."""
