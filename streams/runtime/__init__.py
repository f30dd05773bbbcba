"""The scaffold of roles and agents: decoding, checkpoints, caches, retries, dead letters."""
