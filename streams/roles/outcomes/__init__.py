"""The role `outcomes`: what users did with the items that they were shown."""
