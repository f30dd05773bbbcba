"""Redis: the client and the read models."""
