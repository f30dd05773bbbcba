"""The serving ranker: a weighted sum of features whose weights are learned online."""
