"""Who may join a program (docs/rules.md §5, 2): checked once, on the facts of the day of the application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from billing.pricing.errors import ProgramRefused
from billing.pricing.money import format_amount, require_amount
from billing.pricing.program_discount import ProgramName

STARTUP_YEARS = 3
STARTUP_RAISED = 10_000_000_00  # cents of USD


@dataclass(frozen=True, slots=True)
class Application:
    """What an account says when it applies. `founded_on` and `raised` (cents of USD, so far) are asked of
    startups alone."""

    program: ProgramName
    applied_on: date
    founded_on: date | None = None
    raised: int | None = None


def require_eligible(application: Application) -> None:
    """Raises ProgramRefused with the reason. A startup is less than three years old and has raised less than
    USD 10 million when it applies; of academia and nonprofits the operator judges."""
    if application.program is ProgramName.STARTUPS:
        _require_startup(application.applied_on, application.founded_on, application.raised)


def _require_startup(applied_on: date, founded_on: date | None, raised: int | None) -> None:
    if founded_on is None or raised is None:
        missing = "when it was founded" if founded_on is None else "how much it has raised"
        raise ProgramRefused(f"program startups: an application must say {missing}")
    if founded_on > applied_on:
        raise ProgramRefused(
            f"program startups: founded on {founded_on} is after the application on {applied_on}"
        )
    if _years_later(founded_on, applied_on):
        raise ProgramRefused(
            f"program startups: a startup is less than {STARTUP_YEARS} years old when it applies; "
            f"this one was founded on {founded_on} and applied on {applied_on}"
        )
    if require_amount(raised) < 0:
        raise ProgramRefused("program startups: the amount raised is negative")
    if raised >= STARTUP_RAISED:
        raise ProgramRefused(
            f"program startups: a startup has raised less than {format_amount(STARTUP_RAISED, 'USD')} "
            f"when it applies; this one has raised {format_amount(raised, 'USD')}"
        )


def _years_later(founded_on: date, day: date) -> bool:
    """Whether the third anniversary has come; of 29 February it is 1 March where there is none."""
    return (day.year - STARTUP_YEARS, day.month, day.day) >= (
        founded_on.year,
        founded_on.month,
        founded_on.day,
    )
