"""Servers of the local stack, and the Java runtime of two of them."""
