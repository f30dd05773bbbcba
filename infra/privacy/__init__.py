"""Privacy of releases: noise, the budget of each day, pseudonyms."""
