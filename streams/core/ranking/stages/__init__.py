"""The stages of the pipeline: candidate sources, filters, features, LLM blend, selection, reasons."""
