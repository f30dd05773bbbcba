"""Doubles of services that are not ours: they speak the real protocols on the loopback address, errors included.

Tests and the demo run the production clients against them. Whatever they answer is simulated.
"""
