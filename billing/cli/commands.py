"""How commands are made: nouns, and commands with an example in their help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import typer

from billing.cli.errors import USAGE

F = TypeVar("F", bound=Callable[..., Any])


def noun(help_text: str, **settings: Any) -> typer.Typer:
    """A group of commands; alone it prints its help, and that is wrong usage."""
    made = typer.Typer(
        help=help_text,
        invoke_without_command=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        **settings,
    )

    @made.callback()
    def _help(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            context.get_help()  # typer prints it
            raise typer.Exit(USAGE)

    return made


def command(group: typer.Typer, name: str, *, example: str) -> Callable[[F], F]:
    """Add a function as a command; its docstring is its help."""

    def add(function: F) -> F:
        text = " ".join((function.__doc__ or "").split())
        short = text.split(". ")[0].rstrip(".") + "."
        group.command(name, help=text, short_help=short, epilog=f"Example: {example}")(function)
        return function

    return add
