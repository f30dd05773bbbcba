"""The role `collect`: videos and interactions from an external API."""
