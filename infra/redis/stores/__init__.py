"""Read models in Redis for the API: feeds, items, profiles and others."""
