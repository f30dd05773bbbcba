"""Statistics of experiments: users are the unit, and every interval stays valid however often it is looked at."""
