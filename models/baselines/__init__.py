"""Baseline models."""
