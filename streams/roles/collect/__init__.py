"""The role `collect`: videos and interactions, imported from an external API."""
