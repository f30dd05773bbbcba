"""Who calls, and what they may do: tokens, guards, rate limits, the audit log."""
