"""The role `log`: topics into the read models of the API."""
