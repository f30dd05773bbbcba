"""Neighbourhood models: co-occurrence, k nearest neighbours, association rules."""
