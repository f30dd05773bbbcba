"""A user's state: the fold of interactions, the stated profile, the geofence."""
