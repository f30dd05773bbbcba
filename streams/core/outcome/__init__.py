"""The outcomes of impressions: attribution of actions to them, and their click-through rates."""
