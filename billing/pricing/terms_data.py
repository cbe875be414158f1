"""Changes of terms as plain data, to be kept and shown; the way there and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from billing.pricing.contract import Contract, Grant
from billing.pricing.contract_file import contract_from_data, contract_to_data
from billing.pricing.money import plain
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program, ProgramName
from billing.pricing.terms import (
    Change,
    Enrolment,
    MoreRuns,
    NewEnd,
    NewPlan,
    ProgramEnd,
    Protection,
    Withdrawal,
)
from metering.period import Month


def change_to_data(change: Change) -> tuple[str, dict[str, Any]]:  # noqa: PLR0911 - a case a kind
    """The kind of a change, and its data, ready for JSON: dates and months as text, percentages as decimal
    text, amounts in minor units (in a contract, as in its file, in major ones)."""
    match change:
        case Enrolment():
            return "plan", {
                "from": str(change.from_month),
                "plan": change.plan,
                "version": change.version,
            }
        case Protection():
            return "protection", {
                "from": str(change.from_month),
                "charge": change.price.charge,
                "ends_on": change.price.ends_on.isoformat(),
            }
        case Program():
            return "program", {
                "name": change.name.value,
                "percentage": plain(change.percentage),
                "starts_on": change.starts_on.isoformat(),
                "ends_on": change.ends_on.isoformat(),
            }
        case ProgramEnd():
            return "program_end", {"name": change.name.value, "ends_on": change.ends_on.isoformat()}
        case Contract():
            return "contract", contract_to_data(change)
        case MoreRuns():
            return "grant", {"contract": change.contract, **_grant_data(change.grant)}
        case NewEnd():
            return "contract_end", {
                "contract": change.contract,
                "end": change.end.isoformat(),
                "extend_grants": change.extend_grants,
            }
        case NewPlan():
            return "contract_plan", {
                "contract": change.contract,
                "from": str(change.from_month),
                "plan": change.plan,
            }
        case Withdrawal():
            return "contract_withdrawn", {"contract": change.contract}


def change_from_data(kind: str, data: Mapping[str, Any]) -> Change:  # noqa: PLR0911
    """The change that `change_to_data` was given. Raises ValueError for a kind there is not."""
    match kind:
        case "plan":
            return Enrolment(Month.parse(data["from"]), data["plan"], data["version"])
        case "protection":
            price = PriceProtection(data["charge"], date.fromisoformat(data["ends_on"]))
            return Protection(Month.parse(data["from"]), price)
        case "program":
            return Program(
                ProgramName(data["name"]),
                Decimal(data["percentage"]),
                date.fromisoformat(data["starts_on"]),
                date.fromisoformat(data["ends_on"]),
            )
        case "program_end":
            return ProgramEnd(ProgramName(data["name"]), date.fromisoformat(data["ends_on"]))
        case "contract":
            return contract_from_data(data)
        case "grant":
            return MoreRuns(data["contract"], _grant(data))
        case "contract_end":
            return NewEnd(data["contract"], date.fromisoformat(data["end"]), data["extend_grants"])
        case "contract_plan":
            return NewPlan(data["contract"], Month.parse(data["from"]), data["plan"])
        case "contract_withdrawn":
            return Withdrawal(data["contract"])
    raise ValueError(f"there is no change of terms of kind {kind!r}")


def _grant_data(grant: Grant) -> dict[str, Any]:
    return {
        "id": grant.id,
        "runs": grant.runs,
        "price": grant.price,
        "granted_on": grant.granted_on.isoformat(),
        "expires_on": grant.expires_on.isoformat(),
    }


def _grant(data: Mapping[str, Any]) -> Grant:
    return Grant(
        data["id"],
        data["runs"],
        data["price"],
        date.fromisoformat(data["granted_on"]),
        date.fromisoformat(data["expires_on"]),
    )
