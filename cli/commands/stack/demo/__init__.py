"""`millrace demo`: the complete stack at work, proved by one click."""

from cli.commands.stack.demo.command import demo

__all__ = ["demo"]
