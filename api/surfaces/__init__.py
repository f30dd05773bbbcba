"""One file per outside contract, mapped to the same topics and read models."""
