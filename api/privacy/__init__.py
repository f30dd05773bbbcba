"""Endpoints of the data of persons."""
