"""Learning from the stream."""
