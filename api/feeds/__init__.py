"""Feeds as clients read them: parameters, answers, and what is kept of them in the process."""
