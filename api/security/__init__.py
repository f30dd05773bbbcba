"""API security: tokens, authorization, rate limits, the audit log."""
