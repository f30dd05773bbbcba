"""One package for each role that `millrace worker` runs."""
