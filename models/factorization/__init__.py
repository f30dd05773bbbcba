"""Matrix factorization and linear autoencoders."""
