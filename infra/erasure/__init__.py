"""Erasure of users: the log of erasures, which readers of topics honour, and signed receipts."""
