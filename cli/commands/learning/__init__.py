"""Commands that train models and choose their versions."""
