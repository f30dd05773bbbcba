"""How well models rank, told by replaying a stream of real events in order."""
