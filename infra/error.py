"""The error that only the person who runs Millrace can put right."""

from __future__ import annotations


class OperatorError(RuntimeError):
    """What is wrong, and what to do about it. The command line prints it as it is and exits with 1."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(f"{problem}\n{remedy}")
