"""Neural models, and the event buffer for their training."""
