"""The role `links`: the links between items, learned by partition."""
