"""User encoders: networks as workers serve them, in numpy, and what a network owes to be served so."""
