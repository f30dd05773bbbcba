"""The role `fetch`: content from a language model, ahead of demand."""
