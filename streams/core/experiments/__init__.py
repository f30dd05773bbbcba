"""Experiments: which arms a user has at a time, and the parameters that follow from them."""
