"""Commands that look into topics: records, dead letters, traces, explanations."""
