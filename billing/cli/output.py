"""How commands print: tables for people, one JSON document for programs, notes and progress on stderr."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Where output is no terminal nothing may be cut or folded to a width that nobody sees.
_UNBOUNDED = 10_000


def console(*, stderr: bool = False) -> Console:
    """Where to print. Plain text without colours where it is not a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # Markup is off: names are the user's, and may hold anything.
    if stream.isatty():
        return Console(file=stream, highlight=False, markup=False)
    return Console(
        file=stream, highlight=False, markup=False, width=_UNBOUNDED, no_color=True, force_terminal=False
    )


def print_json(data: object) -> None:
    print(json.dumps(data, indent=2))


def print_json_rows(
    rows: Iterable[object], *, of: Mapping[str, object] | None = None, name: str = ""
) -> None:
    """One JSON document that is a list, or (`of`) an object with a list `name` as its last field; the list is
    printed as it is read, however long."""
    indent = "" if of is None else "  "
    begin = "" if of is None else json.dumps(dict(of), indent=2).removesuffix("\n}") + f',\n  "{name}": '
    text = begin + "["
    for row in rows:
        print(text + "\n" + textwrap.indent(json.dumps(row, indent=2), indent + "  "), end="")
        text = ","
    end = "]" if text != "," else f"\n{indent}]"
    print(("" if text == "," else text) + end + ("" if of is None else "\n}"))


def say(text: str = "") -> None:
    """A line for people, on stdout."""
    console().print(text, soft_wrap=True)


def heading(name: str, rest: str = "") -> None:
    """A line whose first part stands out."""
    from rich.text import Text

    console().print(Text.assemble((name, "bold"), rest), soft_wrap=True)


def note(text: str) -> None:
    """A message beside the answer, on stderr."""
    console(stderr=True).print(text, soft_wrap=True)


def table(*columns: str, numbers: tuple[str, ...] = ()) -> Table:
    """A table; the columns named in `numbers` are set to the right. Long cells fold, and are never cut."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        made.add_column(
            column,
            justify="right" if column in numbers else "left",
            overflow="fold",
            no_wrap=column in numbers,
        )
    return made


def fields(pairs: Mapping[str, object]) -> Table:
    """Names and values below one another."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        made.add_row(name, Text(str(value)))
    return made


def count(quantity: int) -> str:
    """A quantity as people read it.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{quantity:,}"


def reasons(not_billed: Mapping[str, int]) -> str:
    """Every reason why runs were not billed, zero or not.

    >>> reasons({"too_short": 1200, "cached": 0})
    'too short 1,200 · cached 0'
    """
    return " · ".join(f"{name.replace('_', ' ')} {quantity:,}" for name, quantity in not_billed.items())


@contextmanager
def progress(label: str, *, unit: str = "count") -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on stderr, if that is a terminal; call what it gives with (done, total). `unit` is
    `bytes` or `count`; a total of None is not known."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    screen = console(stderr=True)
    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bars:
        task = bars.add_task(label, total=None, visible=False)
        yield lambda done, total: bars.update(task, completed=done, total=total, visible=True)
