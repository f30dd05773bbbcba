"""The feed as a list of stages: candidate sources, filters, features, blend, diversity, reasons."""
