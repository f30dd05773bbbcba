"""Rules of the domain that every layer shares: locations, item identity, stock, scales, times. No input or output."""
