"""Readers of topics for tools and start-up: windows, tails and searches, without a consumer group."""
