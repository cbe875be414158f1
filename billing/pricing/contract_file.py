"""The file of a contract: what an operator writes, as a `Contract` (docs/rules.md §4).

    {"id": "acme-2026", "account": "acme", "start": "2026-01-01", "end": "2027-01-01",
     "plan": "standard@2021-02", "currency": "USD", "instalments": "quarterly",
     "grants": [{"id": "g1", "runs": 1000000, "price": "900.00", "granted_on": "2026-01-01",
                 "expires_on": "2027-01-01"}],
     "services": [{"description": "Onboarding", "price": "1500.00", "due_on": "2026-01-01"}]}

`grants` and `services` may be left out. A grant's `granted_on` and `expires_on` are the contract's term
unless given. A price is text or a whole number, in major units. JSON, YAML or TOML; the caller reads the
file: this module sees its text alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal

from billing.pricing.contract import Contract, Grant, Instalments, Service
from billing.pricing.data_file import read_data
from billing.pricing.days import parse_day
from billing.pricing.errors import AmountError, ContractError, CurrencyError
from billing.pricing.money import amount_text, parse_amount

_CONTRACT_KEYS = (
    "id", "account", "start", "end", "plan", "currency", "instalments", "grants", "services"
)  # fmt: skip
_GRANT_KEYS = ("id", "runs", "price", "granted_on", "expires_on")
_SERVICE_KEYS = ("description", "price", "due_on")


def parse_contract_file(text: str, name: str) -> Contract:
    """The contract of a file's text; the suffix of `name` says how to read it. Raises ContractError with one
    sentence that names the file, or the contract and the grant or service."""
    return contract_from_data(read_data(text, name, "contract", ContractError))


def contract_from_data(data: object) -> Contract:
    """A contract from decoded data. Raises ContractError with one sentence."""
    fields = _object("a contract", data, _CONTRACT_KEYS, optional=("grants", "services"))
    where = f"contract {' '.join(str(fields['id'])[:64].split())}"
    start, end = _date(where, fields, "start"), _date(where, fields, "end")
    term = {"granted_on": start, "expires_on": end}
    code = fields["currency"]
    if not isinstance(code, str):
        raise ContractError(f"{where}: currency must be text such as USD", field="currency")
    return Contract(
        id=_text(where, fields, "id"),
        account=_text(where, fields, "account"),
        start=start,
        end=end,
        plan=_text(where, fields, "plan"),
        currency=code,
        instalments=_instalments(where, fields["instalments"]),
        grants=tuple(
            grant_from_data(item, where=f"{where}, grant {number}", code=code, term=term)
            for number, item in enumerate(_list(where, fields, "grants"), start=1)
        ),
        services=tuple(
            _service(f"{where}, service {number}", item, code)
            for number, item in enumerate(_list(where, fields, "services"), start=1)
        ),
    )


def grant_from_data(data: object, *, where: str, code: str, term: Mapping[str, date]) -> Grant:
    """A grant from decoded data. `where` begins its errors; `code` is the contract's currency; `term` holds
    the days that count where the data names none. Raises ContractError."""
    fields = _object(where, data, _GRANT_KEYS, optional=tuple(term))
    runs = fields["runs"]
    if isinstance(runs, bool) or not isinstance(runs, int):
        raise ContractError(f"{where}: runs must be a whole number, not {str(runs)[:40]!r}", field="runs")
    return Grant(
        id=_text(where, fields, "id"),
        runs=runs,
        price=_price(where, fields["price"], code),
        granted_on=_date(where, {**term, **fields}, "granted_on"),
        expires_on=_date(where, {**term, **fields}, "expires_on"),
    )


def contract_to_data(contract: Contract) -> dict[str, object]:
    """The contract in the shape of its file, ready for JSON; read again, it is the same contract."""

    def price(amount: int) -> str:
        return amount_text(amount, contract.currency)

    return {
        "id": contract.id,
        "account": contract.account,
        "start": contract.start.isoformat(),
        "end": contract.end.isoformat(),
        "plan": contract.plan,
        "currency": contract.currency,
        "instalments": contract.instalments.value,
        "grants": [
            {
                "id": grant.id,
                "runs": grant.runs,
                "price": price(grant.price),
                "granted_on": grant.granted_on.isoformat(),
                "expires_on": grant.expires_on.isoformat(),
            }
            for grant in contract.grants
        ],
        "services": [
            {
                "description": service.description,
                "price": price(service.price),
                "due_on": service.due_on.isoformat(),
            }
            for service in contract.services
        ],
    }


def _service(where: str, data: object, code: str) -> Service:
    fields = _object(where, data, _SERVICE_KEYS, optional=())
    return Service(
        description=_text(where, fields, "description"),
        price=_price(where, fields["price"], code),
        due_on=_date(where, fields, "due_on"),
    )


def _object(
    where: str, data: object, keys: tuple[str, ...], optional: tuple[str, ...]
) -> Mapping[str, object]:
    if not isinstance(data, Mapping):
        raise ContractError(f"{where} must be an object with {', '.join(keys)}")
    if unknown := [repr(key) for key in data if key not in keys]:
        raise ContractError(
            f"{where}: unknown key {', '.join(unknown)[:80]}; known: {', '.join(keys)}",
            field=str(next(key for key in data if key not in keys)),
        )
    if missing := [key for key in keys if key not in data and key not in optional]:
        raise ContractError(f"{where}: {', '.join(missing)} is missing", field=missing[0])
    return data


def _list(where: str, fields: Mapping[str, object], key: str) -> Iterable[object]:
    value = fields.get(key, [])
    if not isinstance(value, list):
        raise ContractError(f"{where}: {key} must be a list", field=key)
    return value


def _text(where: str, fields: Mapping[str, object], key: str) -> str:
    value = fields[key]
    if not isinstance(value, str):
        raise ContractError(f"{where}: {key} must be text; put it in quotes", field=key)
    return value


def _instalments(where: str, value: object) -> Instalments:
    try:
        return Instalments(str(value))
    except ValueError:
        known = ", ".join(Instalments)
        raise ContractError(
            f"{where}: instalments {str(value)[:40]!r} is not known; known: {known}", field="instalments"
        ) from None


def _date(where: str, fields: Mapping[str, object], key: str) -> date:
    value = fields[key]
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str):
        with suppress(ValueError):
            return parse_day(value)
    raise ContractError(
        f"{where}: {key} {str(value)[:40]!r} is not a date; write it as YYYY-MM-DD", field=key
    )


def _price(where: str, value: object, code: str) -> int:
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < 40:
        value = f"{value:f}"
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ContractError(
            f'{where}: price {str(value)[:40]!r} is not an amount; write it like "900.00"', field="price"
        )
    try:
        return parse_amount(value, code)
    except CurrencyError as error:
        raise ContractError(f"{where}: currency {error}", field="currency") from None
    except AmountError as error:
        raise ContractError(f"{where}: price {error}", field="price") from None
