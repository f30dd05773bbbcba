"""A shop: rankings of its products, and the blend of a home page."""
