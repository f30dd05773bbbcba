"""The error that only the operator of Millrace can fix."""

from __future__ import annotations


class OperatorError(RuntimeError):
    """A problem with its remedy. The command line prints both and exits with 1."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(f"{problem}\n{remedy}")
