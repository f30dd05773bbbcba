"""Pure folds and rankings: (state, event) in, (state, outputs) out; no clock, no I/O, no engine."""
