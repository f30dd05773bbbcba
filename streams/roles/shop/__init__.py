"""The role `shop`: home pages and charts of a shop."""
