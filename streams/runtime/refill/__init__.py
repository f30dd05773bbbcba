"""Refill of stores that lost their data, from the topics."""
