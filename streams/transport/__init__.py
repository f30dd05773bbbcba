"""Faust over record batches: the transport plug-in, its ledger and its consumer."""
