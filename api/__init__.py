"""The thin side: publish events, read feeds."""
