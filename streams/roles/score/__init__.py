"""The role `score`: a language model judges the best items of feeds."""
