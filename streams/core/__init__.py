"""Pure folds and rankings: no clock, no I/O, no engine; the time and random generators are arguments.

A fold changes the state that it is given, in place, and returns its outputs: a copy of a user's state per event would
cost more than the fold. Each state has one owner, the agent of its partition or the learner. All other functions leave
their arguments as they are and return new values.
"""
