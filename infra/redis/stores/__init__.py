"""Read models in Redis: feeds, items, profiles and whatever else the API reads."""
