"""Purge of what deleted data of erased users leaves in logs and files."""
