"""The weighted sum of features that serves, learned online."""
