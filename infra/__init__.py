"""The outside world: settings, clients, read models, the local stack."""
