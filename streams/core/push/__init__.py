"""Pushes: candidates, their value, the time of delivery, and the state of each user's devices."""
