"""Pure folds and rankings: no clock, no I/O, no engine; the time and random generators are arguments.

A fold changes the state that it is given, in place, and returns its outputs: a copy of a user's state per event would
cost more than the fold. Each state has one owner, the agent of its partition or the learner. A function whose
docstring begins with "Return" or "Yield" leaves its arguments as they are; all others change the state that they are
given.
"""
