"""The scaffold of roles and agents: composition, decoding, sinks, retries, dead letters."""
