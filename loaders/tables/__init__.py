"""Parsers of real-world tables: encodings, separators, columns, numbers, prices, times."""
