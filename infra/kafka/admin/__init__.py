"""Administration of the cluster: its identity, its topics and schemas, the offsets and lag of consumer groups."""
