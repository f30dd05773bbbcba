"""Triggers: the schedule, the active users, and the prefetch requests that follow from them."""
