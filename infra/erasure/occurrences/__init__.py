"""Search for an id in everything that a deployment stores: topics, keys, tables and files."""
