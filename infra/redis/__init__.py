"""Redis: the client, heartbeats and the read models."""
