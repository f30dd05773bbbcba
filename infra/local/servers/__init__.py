"""The servers of the local stack, and the Java runtime that two of them need."""
