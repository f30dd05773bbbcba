"""Commands on the data of persons."""
