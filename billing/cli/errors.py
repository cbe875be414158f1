"""What went wrong, as one line on stderr that says what to do, and an exit code.

0    done
1    something the user must look at: rejected events, failed invoices, what differs; Stripe, or a Prefect
     server, that cannot be asked
2    wrong usage: no such thing, not allowed in this state, a value or setting that is not usable
130  stopped by the user
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

LOOK = 1
USAGE = 2
STOPPED = 130

PROGRAM = "billing"


class Problem(NamedTuple):
    message: str
    code: int


class OneLineErrors(TyperGroup):
    """The command at the top: whatever goes wrong below ends here."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        try:
            code = super().main(args, PROGRAM, complete_var, False, windows_expand_args, **extra)
        except Exception as error:
            message, code = _problem(error)
            print(f"{PROGRAM}: {message}", file=sys.stderr)
        else:
            if code == STOPPED:
                print(f"{PROGRAM}: stopped; the same command may be started again", file=sys.stderr)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader had enough (`| head`). Nothing may be written at exit either.
            _discard_output()
            return 0
        return answer


def _discard_output() -> None:
    with suppress(OSError, ValueError):  # where stdout is not a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _problem(error: Exception) -> Problem:
    if isinstance(error, TyperException):
        return _usage(error)
    if isinstance(error, typer.Abort):
        return Problem("stopped; the same command may be started again", STOPPED)
    return _of_ours(error) or _of_files(error) or _of_libraries(error) or _unexpected(error)


def _usage(error: TyperException) -> Problem:
    context = getattr(error, "ctx", None)
    message = _line(error.format_message())
    if context is not None:
        message = f"{message.rstrip('.')}; see: {context.command_path} --help"
    return Problem(message, getattr(error, "exit_code", USAGE))


def _of_ours(error: Exception) -> Problem | None:
    from billing.errors import BillingError, MoveDiffers
    from billing.payments.errors import PaymentError
    from billing.pricing.errors import PricingError
    from metering.collecting.errors import NoAddress, PrefectError
    from metering.database import DatabaseUrlError
    from metering.database_file import DatabaseReplaced
    from metering.sources import UndecodableBody
    from metering.store.clickhouse.errors import CopyDiffers, CopyRefused, EventsUnavailable, EventsUrlError

    if isinstance(error, NoAddress):
        return Problem(_line(error), USAGE)
    to_look_at = UndecodableBody | PaymentError | PrefectError | CopyDiffers | MoveDiffers | DatabaseReplaced
    if isinstance(error, to_look_at):
        return Problem(_line(error), LOOK)
    if isinstance(error, BillingError | PricingError | DatabaseUrlError):
        return Problem(_line(error), USAGE)
    if isinstance(error, EventsUrlError | EventsUnavailable | CopyRefused):
        return Problem(_line(error), USAGE)
    from billing.app import SchemaMissing

    # By name, since its module brings Stripe's SDK: if it was raised, it is there.
    if isinstance(error, SchemaMissing) or type(error).__name__ == "LiveKeyRefused":
        return Problem(_line(error), USAGE)
    return None


def _of_files(error: Exception) -> Problem | None:
    if not isinstance(error, OSError):
        return None
    what = os.strerror(error.errno).lower() if error.errno else _line(error)
    named = f"{error.filename}: {what}" if error.filename else what
    if error.errno == errno.ENOSPC:
        return Problem(f"{named}; make room and start the command again", LOOK)
    return Problem(named, USAGE)


def _of_libraries(error: Exception) -> Problem | None:
    from pydantic import ValidationError
    from pydantic_settings import SettingsError
    from sqlalchemy.exc import DBAPIError, IntegrityError

    from billing.moving.closing import is_closed

    if isinstance(error, ValidationError):
        wrong = [
            f"BILLING_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors()
        ]
        return Problem(_line("; ".join(wrong)), USAGE)
    if isinstance(error, SettingsError):
        return Problem(_line(error), USAGE)
    if is_closed(error):
        return Problem(f"the database: {_line(getattr(error, 'orig', error))}", USAGE)
    if isinstance(error, IntegrityError):
        why = "it holds something that refers to what is to be replaced, or that stands in its place"
        which = "which the service did not put there; see: billing prove"
        return Problem(f"the database: {_line(error.orig)}; {why}, {which}", LOOK)
    if isinstance(error, DBAPIError):
        return Problem(f"the database: {_line(error.orig)}; check BILLING_DATABASE_URL and the server", USAGE)
    return None


def _unexpected(error: Exception) -> Problem:
    """A mistake of ours. Its place helps those who report it; a traceback is there for who asks for it."""
    if os.environ.get("BILLING_DEBUG"):
        raise error
    return Problem(
        f"unexpected {type(error).__name__}: {_line(error)}; please report it with what "
        "BILLING_DEBUG=1 in the environment shows",
        LOOK,
    )


def _line(text: object) -> str:
    return " ".join(str(text).split())
