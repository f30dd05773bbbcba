"""Thin Faust agents: read, call the core, send, store."""
