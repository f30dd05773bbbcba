"""Commands that bring items into the catalog."""
