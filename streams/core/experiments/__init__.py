"""Experiments: the arms of a user at a time, and the parameters that follow from them."""
