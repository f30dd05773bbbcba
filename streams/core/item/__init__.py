"""An item's state: decayed statistics, and the mapping of collected records."""
