"""Neural models, and the buffer of events that they are trained from."""
