"""Events in, feeds out."""
