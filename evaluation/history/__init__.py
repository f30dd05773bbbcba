"""History folded again by the pure cores: features as they were, training data, and feeds under other settings."""
