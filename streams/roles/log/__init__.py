"""The role `log`: topics, projected into the read models of the API."""
