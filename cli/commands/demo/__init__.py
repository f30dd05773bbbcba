"""`millrace demo`: the whole stack at work, with one click to prove it."""

from cli.commands.demo.command import demo

__all__ = ["demo"]
