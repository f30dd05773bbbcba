"""The catalog as ranking reads it: columns over all items, their texts, types and event times."""
