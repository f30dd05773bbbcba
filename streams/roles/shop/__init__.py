"""The role `shop`: homes and charts of a shop."""
