"""How we score: numpy and torch, no I/O."""
