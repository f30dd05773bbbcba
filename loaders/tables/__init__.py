"""Tables in the wild: encodings, separators, columns, numbers, prices, times."""
